"""Verbs of the `ijepa` command that need torch, one a file."""
