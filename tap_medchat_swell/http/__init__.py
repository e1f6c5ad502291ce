"""HTTP: one client per vendor, with its responses, retries and rate limit."""
