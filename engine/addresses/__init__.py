"""Email addresses: reading and judging them, mailboxes with a display name, keyed hashes."""
