"""Reports: accounts of a run, tables and galleries."""
