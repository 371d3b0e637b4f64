"""The DNS records of a set-up: for a zone file, and in Route 53."""
