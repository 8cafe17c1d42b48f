"""Batches of training views."""
