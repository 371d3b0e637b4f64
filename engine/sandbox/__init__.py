"""A local server that speaks the Amazon SES API v2 and behaves like an account."""
