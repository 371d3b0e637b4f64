"""The sandbox's SES account and the operations of the SES API v2."""
