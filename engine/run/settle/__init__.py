"""After sending: audit, and recipients in doubt."""
