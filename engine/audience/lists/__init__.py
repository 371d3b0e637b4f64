"""Suppression lists of other systems: which column holds what, and what each entry is."""
