"""What Gmail, Yahoo and Microsoft make of a campaign: the evidence, and what a launch refuses."""
