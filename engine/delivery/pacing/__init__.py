"""When the next message may go: rate, quota, window, concurrency."""
