"""Addresses that must not be mailed: the list, its reasons and scopes, and erased people."""
