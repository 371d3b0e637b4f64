"""Reads across runs: look up one address in all of them, and compare some of them."""
