"""Metrics and traces: what Prometheus and OpenTelemetry read."""
