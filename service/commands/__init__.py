"""Verbs of the `ijepa` command that need a bundle, one a file."""
