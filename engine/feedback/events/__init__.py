"""SES events: read, verified, matched to their recipients, recorded."""
