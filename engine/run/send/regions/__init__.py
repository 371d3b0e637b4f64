"""One run through several regions of SES at once: each region's worker, and the team of all of them."""
