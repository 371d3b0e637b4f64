"""What every HTTP server of mailrun needs: a guard of requests, bounds of connections, a logger."""
