"""Metrics and traces by OTLP, through the packages of the extra `mailrun[otel]`."""
