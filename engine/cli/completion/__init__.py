"""What the shell offers for arguments: quick, and silent where there is nothing to offer."""
