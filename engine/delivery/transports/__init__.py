"""The transports and what they are made of."""
