"""What tests that run the tap as a process share."""
