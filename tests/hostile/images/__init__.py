"""Hostile images: a file a format, each with its makers and a list, and one table. All are made by code, none is kept."""
