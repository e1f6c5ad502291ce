"""Who takes part: each file runs as a script in an environment of its own."""
