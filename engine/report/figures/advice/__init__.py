"""What to do about a run: rules over its figures."""
