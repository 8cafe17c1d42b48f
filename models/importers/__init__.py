"""Published weights to checkpoints."""
