"""The checks of a sending domain: what SES says of it, and its DNS records."""
