"""The dashboard: a local web application over the runs of a workspace."""
