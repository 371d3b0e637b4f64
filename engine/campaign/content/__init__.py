"""A campaign's content: templates, prepared once and compiled."""
