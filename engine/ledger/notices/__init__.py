"""Notifications in the ledger: what is to be sent, and what was."""
