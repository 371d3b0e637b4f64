"""A received message: signatures, alignment, ARC, what its receiver states, and its header fields."""
