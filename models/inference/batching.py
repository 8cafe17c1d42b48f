"""Rows of patch ids of different lengths in batches: little padding, and few shapes for runtimes that prepare each shape."""

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Int64

MAX_PADDING = 0.1
"""Share of a batch's tokens that may be padding up to its longest row. Shorter rows than that make another batch."""

SIGNIFICANT_BITS = 5
"""Of the length of a batch's rows, which is rounded up: at most 1/16 longer, and 16 lengths from one power of two to the next."""


def group_rows(lengths: Sequence[int], max_rows: int, beside: int = 0) -> Iterator[list[int]]:
    """The indices of all rows, those of about the same length together, the longest first; at most `max_rows` in a group.

    Every row has `beside` more tokens, which need no padding.
    """
    group: list[int] = []
    tokens = 0
    for row in sorted(range(len(lengths)), key=lambda row: -lengths[row]):
        if group:
            longest = lengths[group[0]] + beside
            padded = longest * (len(group) + 1)
            padding = padded - tokens - lengths[row] - beside
            if len(group) == max_rows or padding > MAX_PADDING * padded:
                yield group
                group, tokens = [], 0
        group.append(row)
        tokens += lengths[row] + beside
    if group:
        yield group


def pad_ids(rows: Sequence[Int64[np.ndarray, " _"]]) -> Int64[np.ndarray, "R L"]:
    """Lists of patch ids as one array, filled up with -1. L is the longest list, rounded up; see `SIGNIFICANT_BITS`."""
    assert rows, "there is nothing to pad"
    table = np.full((len(rows), round_up(max(map(len, rows)))), -1, dtype=np.int64)
    for row, ids in zip(table, rows, strict=True):
        row[: len(ids)] = ids
    return table


def round_up(length: int) -> int:
    """To a number of `SIGNIFICANT_BITS`."""
    step = 1 << max(0, length.bit_length() - SIGNIFICANT_BITS)
    return -(-length // step) * step
