"""Studies of many runs: a question, arms and seeds, the runs that answer it, and the verdicts."""
