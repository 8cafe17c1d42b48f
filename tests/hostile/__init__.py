"""Hostile clients: what they send, how they behave, and what the server must go on doing meanwhile."""
