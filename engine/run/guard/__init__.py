"""The guard and the canary: they pause a run whose events are bad."""
