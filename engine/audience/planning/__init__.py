"""From an audience's rows to a frozen plan."""
