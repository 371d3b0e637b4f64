"""The reputation of the sandbox's account, and the metrics that show it."""
