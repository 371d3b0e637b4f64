"""Targets of notifications, as settings and campaigns describe them."""
