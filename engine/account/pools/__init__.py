"""Dedicated IP addresses and their pools: what the account has, how it is changed, what a campaign sends from."""
