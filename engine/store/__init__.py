"""The store: plans, outcomes, events and reports, in a folder or a bucket."""
