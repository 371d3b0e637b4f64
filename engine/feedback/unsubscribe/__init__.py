"""Unsubscribe links: tokens, requests, pages, opt-outs, the HTTP server and the Lambda handler."""
