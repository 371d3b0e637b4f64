"""Notifications of what happens to a run: webhooks, e-mail, SNS."""
