"""Frozen evaluation: what a network's features contain, beside baselines, without changing the network."""
