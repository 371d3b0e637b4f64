"""Shared parts of mailrun's HTTP servers: a guard of requests, bounds of connections, a logger."""
