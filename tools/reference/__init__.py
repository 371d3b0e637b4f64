"""The parts of docs/reference that are generated from the code."""
