"""Sinks: how the rows of a job are written."""
