"""What the operating system gives this process: limits, child processes, temporary folders, the environment."""
