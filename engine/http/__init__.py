"""What every HTTP server of mailrun needs: which requests it answers, how many connections, what it logs."""
