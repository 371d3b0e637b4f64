"""The pages of the dashboard: each module reads what its page shows, and makes the values of its template."""
