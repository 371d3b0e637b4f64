"""`mailrun status`: of all runs, or of one."""
