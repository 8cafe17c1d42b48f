"""Hostile requests, written by hand: a file a kind, each with a list, and one table."""
