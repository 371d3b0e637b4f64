"""Personal data: how long it is kept, and erasing it."""
