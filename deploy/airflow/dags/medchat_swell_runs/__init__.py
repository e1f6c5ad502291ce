"""What the DAGs run: tap and target as processes, with states in a store."""
