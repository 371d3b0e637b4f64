"""`mailrun ses`: one module per command."""
