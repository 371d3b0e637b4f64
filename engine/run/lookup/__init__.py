"""Look up one address: in plans, outcomes, events and suppressions, without an index that has to be made first."""
