"""The account's reputation: rates as SES computes them, metrics, recommendations, the suppression list."""
