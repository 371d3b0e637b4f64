"""Scripts that generate parts of the documentation, and that check language and layout."""
