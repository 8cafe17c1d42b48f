"""Memory that a process has freed goes back to the system."""

import ctypes
import sys

BLOCK = 4_000_000
"""Blocks of memory from this size on go back to the system when they are freed. Smaller ones are used again."""

ENVIRONMENT = {
    "MALLOC_MMAP_THRESHOLD_": str(BLOCK),
    "MALLOC_TRIM_THRESHOLD_": str(2 * BLOCK),
    "MALLOC_ARENA_MAX": "1",
}
"""The same as `return_memory` for a process that is started with these variables, and has one thread."""

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


def return_memory() -> bool:
    """Fix the thresholds of glibc's allocator for this process, which otherwise keeps what large images took.

    Programs call it once at their start. False where the system has another allocator.
    """
    if sys.platform != "linux":
        return False
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "gnu_get_libc_version"):
        return False
    return bool(libc.mallopt(_M_MMAP_THRESHOLD, BLOCK) and libc.mallopt(_M_TRIM_THRESHOLD, 2 * BLOCK))
