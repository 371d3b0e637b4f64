"""Scripts that make the documentation, and that check the language of everything that people read."""
