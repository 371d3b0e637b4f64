"""Sending a run: launch, workers, heartbeats and rates."""
