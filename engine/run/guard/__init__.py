"""The guard and the canary: whether what comes back allows sending on."""
