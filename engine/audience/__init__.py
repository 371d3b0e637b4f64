"""Audiences: sources, addresses, exclusions and the plan."""
