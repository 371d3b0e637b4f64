"""From a rendered message to an outcome: pacing, retries, dispatch, transports."""
