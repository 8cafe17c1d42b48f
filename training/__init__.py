"""Makes checkpoints.

Reading order: step (the algorithm), objectives, masking, data, schedules, trainer (the loop), config, recipes, persistence.
`models.rng` is where all randomness comes from. Dimension letters are in `models/__init__.py`. This file imports nothing.
"""
