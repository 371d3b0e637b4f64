"""Suppressions: lists as files, edited by people, and kept equal to SES's own list."""
