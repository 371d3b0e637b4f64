"""A set-up as a whole: read, composed, planned and carried out."""
