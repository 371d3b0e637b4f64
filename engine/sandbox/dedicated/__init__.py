"""Dedicated IP addresses and pools of the sandbox account."""
