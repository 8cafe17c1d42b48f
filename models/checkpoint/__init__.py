"""Checkpoints: what is stored, and how it is written and read."""
