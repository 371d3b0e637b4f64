"""To whom: sources, addresses, exclusions and the plan."""
