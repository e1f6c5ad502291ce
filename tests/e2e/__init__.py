"""Whole runs with real counterparts: Meltano, databases, singer-check-tap."""
