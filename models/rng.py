"""Counter-based random numbers: each is a function of what it is for, so nothing depends on what was drawn before.

A crop depends on (seed, epoch, sample) and on nothing that happened before, so a run resumes by arithmetic, and the same
sample gets the same crop and masks whatever the batch, the workers or the number of processes.
"""

from enum import IntEnum

import numpy as np
from jaxtyping import Float64, Int64, UInt64


class Stream(IntEnum):
    """What a number is for. Two streams never share numbers; the values are part of what makes a run repeatable."""

    ORDER = 1
    CROP = 2
    SHAPE = 3
    BLOCKS = 4
    CONTEXT = 5
    HELD_OUT = 6
    SWAP = 7
    SYNTHETIC = 8


def bits(seed: int, stream: Stream, *counters: int | Int64[np.ndarray, "..."]) -> UInt64[np.ndarray, "..."]:
    """64 random bits for each element of the broadcast counters: the finaliser of SplitMix64 chained over them."""
    state = np.asarray(seed, dtype=np.int64).astype(np.uint64)
    for counter in (int(stream), *counters):
        state = _mix(np.asarray(state ^ _mix(np.asarray(counter, dtype=np.int64).astype(np.uint64))))
    return state


def uniforms(
    seed: int, stream: Stream, *counters: int | Int64[np.ndarray, "..."], n: int
) -> Float64[np.ndarray, "... n"]:
    """`n` numbers in [0, 1) for each element of the broadcast counters."""
    columns = [np.asarray(counter, dtype=np.int64)[..., None] for counter in counters]
    words = bits(seed, stream, *columns, np.arange(n, dtype=np.int64))
    return (words >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _mix(x: UInt64[np.ndarray, "..."]) -> UInt64[np.ndarray, "..."]:
    """Steele, Lea and Flood, "Fast splittable pseudorandom number generators" (2014), with Stafford's constants (mix 13)."""
    with np.errstate(over="ignore"):
        x = x + np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return np.asarray(x ^ (x >> np.uint64(31)))
