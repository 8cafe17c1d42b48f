"""Loggers: where the rows of a run's log go."""
