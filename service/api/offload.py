"""Where work of a request that is not an image's runs: on the event loop, or on a thread where it takes long."""

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
Result = TypeVar("Result")

SMALL_BYTES = 64 * 1024
"""Reading or writing so many bytes of JSON takes about as long as a thread needs to take over, a fifth of a millisecond."""


async def offload(size: int, work: Callable[P, Result], *args: P.args, **kwargs: P.kwargs) -> Result:
    """`work(...)`, which reads or writes `size` bytes: at once if they are few, else on a thread, so that nobody has to wait."""
    if size <= SMALL_BYTES:
        return work(*args, **kwargs)
    return await asyncio.to_thread(work, *args, **kwargs)
