"""Identities of the account: their state, and the calls about them."""
