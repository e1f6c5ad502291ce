"""What the setting privacy_profile does to records, before stream maps."""
