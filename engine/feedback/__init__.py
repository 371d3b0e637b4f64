"""Feedback: SES events, inbound mail and unsubscribe links become flags, suppressions and settled recipients."""
