"""The dashboard: a local web application that shows runs."""
