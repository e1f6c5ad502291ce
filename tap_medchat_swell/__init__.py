"""Singer tap for patient text messages in MedChat and Swell CX."""
