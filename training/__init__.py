"""Makes checkpoints.

Reading order: step (the algorithm), masking, data, objectives, schedules, trainer (the loop), config, recipes; counted
is where all randomness comes from. Dimension letters are in `models/__init__.py`. This file imports nothing.
"""
