"""Multi-region endpoints, tenants, and what a message says of them."""
