"""Shell completions for arguments: quick, and silent where there are none."""
