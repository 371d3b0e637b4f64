"""The SES account: how it is reached, its quota, its identities."""
