"""What sends: the identity with DKIM and MAIL FROM, and the configuration set."""
