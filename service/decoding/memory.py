"""Memory that a process has freed goes back to the system."""

import asyncio
import ctypes
import functools
import sys
from collections.abc import Callable

BLOCK = 4_000_000
"""Blocks of memory from this size on go back to the system when they are freed. Smaller ones are used again."""

ENVIRONMENT = {
    "MALLOC_MMAP_THRESHOLD_": str(BLOCK),
    "MALLOC_TRIM_THRESHOLD_": str(2 * BLOCK),
    "MALLOC_ARENA_MAX": "1",
}
"""The same as `return_memory` for a process that is started with these variables, and has one thread."""

TRIM_AFTER = 32_000_000
"""Bytes that requests have held since memory was last given back, after which it is worth doing again."""
TRIM_SECONDS = 5.0

MAX_HEAPS = 2
"""Of all threads: what one thread has freed in its heap no other uses."""

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8


def return_memory() -> bool:
    """Fix the thresholds and the number of heaps of glibc's allocator for this process, which otherwise keeps what was large.

    Programs call it once at their start. False where the system has another allocator.
    """
    libc = _glibc()
    settings = ((_M_MMAP_THRESHOLD, BLOCK), (_M_TRIM_THRESHOLD, 2 * BLOCK), (_M_ARENA_MAX, MAX_HEAPS))
    return libc is not None and all(libc.mallopt(*setting) for setting in settings)


def trim_memory() -> bool:
    """Give back what lies free between what is used, on all threads' heaps, which thresholds do not. Takes milliseconds."""
    libc = _glibc()
    return libc is not None and bool(libc.malloc_trim(0))


async def trim_now_and_then(given_back: Callable[[], int]) -> None:
    """Trim memory when requests have given back many bytes; `given_back` is the count of all so far. Never returns."""
    last = given_back()
    while True:
        await asyncio.sleep(TRIM_SECONDS)
        if (now := given_back()) - last > TRIM_AFTER:
            last = now
            await asyncio.to_thread(trim_memory)


@functools.cache
def _glibc() -> ctypes.CDLL | None:
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)
    return libc if hasattr(libc, "gnu_get_libc_version") else None
