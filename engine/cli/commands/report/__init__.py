"""`mailrun report`, and the report that a launch writes when its run ends."""
