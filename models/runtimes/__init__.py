"""Runtimes: what computes a bundle's graphs. A file a runtime, imported when it is chosen; `select` has the table."""
