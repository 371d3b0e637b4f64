"""The SQL database of runs, workers, leases and journals."""
