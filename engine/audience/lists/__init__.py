"""Suppression lists of other systems: the meaning of their columns and entries."""
