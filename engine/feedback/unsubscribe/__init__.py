"""Unsubscribe links: requests, pages and the server that answers them."""
