"""The SES account: clients, quota, identities, its suppression list."""
