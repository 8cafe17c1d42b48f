"""What operations share: the options of an embedding, where an image's time went, and what an operation is made from."""

import asyncio
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar, Literal, NamedTuple, Protocol, TypeVar, runtime_checkable

from models.bundle.reader import Bundle
from models.errors import IJEPAError
from models.images.decode import DecodeLimits
from models.images.preprocess import Fit
from models.runtimes.networks import Runtime
from service.errors import DeadlineExceeded, ServiceError, translate
from service.scheduler import Scheduler, Work

Output = Literal["pooled", "patches"]
DType = Literal["float32", "float16"]
T = TypeVar("T")


class EmbedOptions(NamedTuple):
    """What is wanted of an embedding: the one record of requests, jobs and the Python interface.

    `pooling` and `fit` are the bundle's own where they are None.
    """

    output: Output = "pooled"
    pooling: str | None = None
    normalize: bool = False
    dtype: DType = "float32"
    fit: Fit | None = None


class Timings(NamedTuple):
    """Seconds that an image spent being decoded, waiting, and being computed."""

    decode: float
    queue: float
    inference: float


class Decoders:
    """The threads that decode images, shared by all operations. An image whose turn comes too late is not decoded."""

    def __init__(self, deadline_seconds: float, threads: int | None = None) -> None:
        self._deadline = deadline_seconds
        self._pool = ThreadPoolExecutor(threads or min(4, os.cpu_count() or 1), thread_name_prefix="decode")
        self.waiting = 0

    async def run(self, arrived: float, param: str | None, work: Callable[..., T], *args: object) -> T:
        """`work` on a decoding thread. Errors of `models` become those of a request, at `param`.

        Raises:
            DeadlineExceeded: its turn came too long after `arrived` (by the monotonic clock).
            ServiceError: what `work` raised.
        """

        def in_time() -> T:
            if time.monotonic() - arrived > self._deadline:
                raise DeadlineExceeded(f"waited more than {self._deadline:.0f} s to be decoded")
            try:
                return work(*args)
            except ServiceError:
                raise
            except IJEPAError as error:
                raise translate(error, param) from error

        self.waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, in_time)
        finally:
            self.waiting -= 1

    def close(self) -> None:
        """Finish what runs."""
        self._pool.shutdown()


class Context(NamedTuple):
    """What an operation is made from: a bundle and what computes it, and what all operations of a server share."""

    bundle: Bundle
    runtime: Runtime
    scheduler: Scheduler
    decoders: Decoders
    limits: DecodeLimits
    max_batch: int


class OnImages:
    """The part of an operation on images that all share: admission by what waits in the queue and to be decoded."""

    work: Work[Any, Any]

    def __init__(self, context: Context) -> None:
        self._context = context

    def admit(self) -> None:
        """See `Operation.admit`."""
        context = self._context
        context.scheduler.check_overload(context.decoders.waiting * self.work.seconds_per_item)


@runtime_checkable
class Operation(Protocol):
    """A kind of work that a loaded model does. Called with the bytes of an image and its own options.

    `cost` is about how many embeddings one call is worth, before anything was measured; `work` is what the scheduler runs.
    """

    name: ClassVar[str]
    needs_predictor: ClassVar[bool]
    cost: ClassVar[float]
    work: Work[Any, Any]

    def __init__(self, context: Context) -> None: ...

    def admit(self) -> None:
        """Called once for a request, before its images.

        Raises:
            Overloaded: what waits already would take longer than the limit.
        """
        ...

    async def __call__(self, data: bytes, *args: Any, **options: Any) -> Any:
        """One image's result.

        Raises:
            ServiceError: the image, the options, or the server's state.
        """
        ...
