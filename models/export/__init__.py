"""Checkpoint to bundle, or to the layouts of other libraries."""
