"""The figures of a run: what its report and the dashboard show."""
