"""What receivers check of a sender: DNS records of a domain, and the signatures of a message."""
