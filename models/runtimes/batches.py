"""The sizes that batches have: few, so that a runtime which prepares each shape has prepared all of them before it serves."""

BATCH_SIZES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
"""Ascending, from 1. The largest that some images fill takes at least two thirds of them."""


def ladder(max_batch: int) -> tuple[int, ...]:
    """The sizes that are at most `max_batch`: `ladder(10)` is (1, 2, 3, 4, 6, 8)."""
    return tuple(size for size in BATCH_SIZES if size <= max_batch)
