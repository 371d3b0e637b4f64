"""What becomes of accepted mail, and the events that tell of it."""
