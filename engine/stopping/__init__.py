"""Stopping: why, on which signal, and what a stop may abandon."""
