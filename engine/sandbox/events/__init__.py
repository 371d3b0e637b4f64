"""What happens to accepted mail, and the events that report it."""
