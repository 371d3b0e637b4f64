"""Before a launch: planning, checks, previews."""
