"""Files of people as tables, whatever their format."""
