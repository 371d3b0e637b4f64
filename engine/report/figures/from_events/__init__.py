"""Figures that are counted from the events of a run in the store."""
