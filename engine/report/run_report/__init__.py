"""The report of a run: one HTML file for people, made from the run's figures."""
