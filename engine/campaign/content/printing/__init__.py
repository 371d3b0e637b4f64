"""What data may be printed into a message, and where."""
