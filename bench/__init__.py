"""Benchmarks: each prints its figures; compare ratios within one run, never seconds across machines."""
