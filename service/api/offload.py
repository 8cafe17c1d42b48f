"""Where work of a request that is not an image's runs: on the event loop, or on a thread where it takes long.

There are few such threads, and they are for nothing else. What is large has one of its own, so that it is never before what is not,
and so that the memory that it takes on its way is that of one request.
"""

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
Result = TypeVar("Result")

SMALL_BYTES = 64 * 1024
"""Reading or writing so many bytes of JSON takes about as long as a thread needs to take over, a fifth of a millisecond."""

LARGE_BYTES = 4_000_000
"""From here on work is large."""

_ORDINARY = ThreadPoolExecutor(2, "offload")
_LARGE = ThreadPoolExecutor(1, "offload_large")


async def offload(size: int, work: Callable[P, Result], *args: P.args, **kwargs: P.kwargs) -> Result:
    """`work(...)`, which reads or writes `size` bytes of JSON: at once if they are few, else on a thread.

    When the caller is cancelled, work that waits for a thread is not done.
    """
    if size <= SMALL_BYTES:
        return work(*args, **kwargs)
    threads = _LARGE if size >= LARGE_BYTES else _ORDINARY
    return await asyncio.get_running_loop().run_in_executor(threads, lambda: work(*args, **kwargs))


async def collect(size: int, pieces: Iterator[bytes]) -> list[bytes]:
    """All `pieces`, about `size` bytes in all, made as by `offload`. When the caller is cancelled, no more of them are made."""
    cancelled = threading.Event()
    try:
        return await offload(size, _collect, pieces, cancelled)
    finally:
        cancelled.set()


def _collect(pieces: Iterator[bytes], cancelled: threading.Event) -> list[bytes]:
    collected: list[bytes] = []
    for piece in pieces:
        collected.append(piece)
        if cancelled.is_set():
            break
    return collected
