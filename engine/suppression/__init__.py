"""Suppressions: list files, changes by people, and synchronisation with SES's own list."""
