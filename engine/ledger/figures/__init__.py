"""Figures for pages and monitoring, read from the ledger as values."""
