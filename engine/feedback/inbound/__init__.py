"""Inbound mail: unsubscribe requests and complaints that people send by mail."""
