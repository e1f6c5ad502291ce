"""Swell CX: messages and message counts."""
