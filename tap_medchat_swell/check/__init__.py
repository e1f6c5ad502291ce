"""`--check`: asks both vendors how they behave, and says what it means for the settings."""
