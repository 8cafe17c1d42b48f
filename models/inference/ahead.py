"""Read and decode ahead of what computes, on a few threads."""

import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TypeVar

S = TypeVar("S")
T = TypeVar("T")

MIN_THREADS, MAX_THREADS = 4, 16
"""More than cores where these are few: reading waits for disks."""
MAX_WAITING_BYTES = 64_000_000
"""Of items that no thread has read yet."""
NICENESS = 10
"""Of the threads: where they share cores with what computes, that goes first."""


def read_ahead(
    items: Iterable[S], read: Callable[[S], T], ahead: int, size: Callable[[S], int] = lambda _: 0
) -> Generator[T, None, None]:
    """`read` of every item, in order. `items` is advanced by the caller's thread.

    At most `ahead` results, read or being read, are in memory besides the one that is given. `size` is the bytes that an item
    holds before it is read: no more than `MAX_WAITING_BYTES` of these wait, or one item. What `read` raises for an item is
    raised in its place and ends the iteration. Close the iterator to end it earlier: what runs is waited for.
    """
    waiting: deque[tuple[Future[T], int]] = deque()
    pool = ThreadPoolExecutor(threads(), thread_name_prefix="ijepa-read", initializer=_lower_priority)
    try:
        for item in items:
            _wait_for_room(waiting, MAX_WAITING_BYTES - size(item))
            waiting.append((pool.submit(read, item), size(item)))
            if len(waiting) > ahead:
                yield waiting.popleft()[0].result()
        while waiting:
            yield waiting.popleft()[0].result()
    finally:
        pool.shutdown(cancel_futures=True)


def threads() -> int:
    """One for each core that this process may use, within limits."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(MIN_THREADS, min(MAX_THREADS, cores))


def _wait_for_room(waiting: Iterable[tuple[Future[T], int]], room: int) -> None:
    """Until the items that are not read yet have at most `room` bytes, or there are none."""
    while True:
        unread = [(future, size) for future, size in waiting if size and not future.done()]
        if not unread or sum(size for _, size in unread) <= room:
            return
        wait([future for future, _ in unread], return_when=FIRST_COMPLETED)


def _lower_priority() -> None:
    """Of this thread alone. Linux has a priority for each thread; elsewhere nothing happens."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), os.getpriority(os.PRIO_PROCESS, 0) + NICENESS)
