"""`mailrun notify`: a test of the targets, and what is due."""
