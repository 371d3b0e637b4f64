"""Sending a run: launch, workers and what watches over them."""
