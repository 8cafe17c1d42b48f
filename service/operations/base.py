"""What operations share: the options of an embedding, where an image's time went, and what an operation is made from."""

import asyncio
import os
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, ClassVar, Literal, NamedTuple, Protocol, runtime_checkable

from models.bundle.reader import Bundle
from models.errors import IJEPAError
from models.images.decode import DecodeLimits
from models.images.preprocess import Fit
from models.runtimes.networks import Networks, Runtime
from service.errors import DeadlineExceeded, translate
from service.scheduler import Done, Item, Result, Scheduler, Work, answer

Output = Literal["pooled", "patches"]
DType = Literal["float32", "float16"]

MAX_DECODERS = 16
"""Threads that decode, where there are as many processors: more keep the event loop from running."""


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

    @classmethod
    def of(cls, done: Done[Any, Any]) -> "Timings":
        """Of an image that was computed."""
        return cls(done.queued - done.since, done.started - done.queued, done.seconds)


class _Task(NamedTuple):
    """An image to be decoded, and who waits for what is computed of it."""

    future: "asyncio.Future[Any]"
    arrived: float
    scheduler: Scheduler
    work: Work[Any, Any]
    param: str | None
    prepare: Callable[..., Any]
    args: tuple[object, ...]


class Decoders:
    """The threads that decode images, shared by all operations. An image whose turn comes too late is not decoded.

    What is decoded goes on to the scheduler from the decoding thread: the event loop hears of an image when it is computed.
    """

    def __init__(self, deadline_seconds: float, threads: int | None = None) -> None:
        self._deadline = deadline_seconds
        self._tasks: SimpleQueue[_Task | None] = SimpleQueue()
        self._threads = [
            threading.Thread(target=self._loop, name=f"decode_{i}", daemon=True)
            for i in range(threads or min(MAX_DECODERS, os.cpu_count() or 1))
        ]
        for thread in self._threads:
            thread.start()

    @property
    def waiting(self) -> int:
        """Images that no thread has taken yet."""
        return self._tasks.qsize()

    def submit(
        self,
        scheduler: Scheduler,
        work: Work[Item, Result],
        param: str | None,
        prepare: Callable[..., Item],
        *args: object,
    ) -> "asyncio.Future[Done[Item, Result]]":
        """`prepare(*args)` on a decoding thread, and what it returns to the scheduler. Cancelling the future stops both.

        The future raises what `prepare` raised, of which errors of `models` become those of a request at `param`;
        `DeadlineExceeded` where its turn came too late; and the errors of `Scheduler`.
        """
        future: asyncio.Future[Done[Item, Result]] = asyncio.get_running_loop().create_future()
        self._tasks.put(_Task(future, time.monotonic(), scheduler, work, param, prepare, args))
        return future

    def _loop(self) -> None:
        while task := self._tasks.get():
            if not task.future.done():
                self._decode(task)
            del task  # an image may be large, and the next one may be long in coming

    def _decode(self, task: _Task) -> None:
        try:
            if time.monotonic() - task.arrived > self._deadline:
                raise DeadlineExceeded(f"waited more than {self._deadline:.0f} s to be decoded")
            task.scheduler.submit(task.work, task.prepare(*task.args), task.future, task.arrived)
        except IJEPAError as error:
            answer([(task.future, translate(error, task.param))])
        except Exception as error:  # noqa: BLE001 -- whatever it is, the one who waits has to hear of it
            answer([(task.future, error)])

    def close(self) -> None:
        """Finish what waits."""
        for _ in self._threads:
            self._tasks.put(None)
        for thread in self._threads:
            thread.join()


class Context(NamedTuple):
    """What an operation is made from: a bundle and what computes it, and what all operations of a server share."""

    bundle: Bundle
    runtime: Runtime
    scheduler: Scheduler
    decoders: Decoders
    limits: DecodeLimits
    max_batch: int


class OnImages:
    """The part of an operation on images that all share: admission, and the way through the decoders and the scheduler."""

    work: Work[Any, Any]

    def __init__(self, context: Context) -> None:
        self._context = context

    def admit(self) -> None:
        """See `Operation.admit`: what waits in the queue and what waits to be decoded."""
        context = self._context
        context.scheduler.check_overload(context.decoders.waiting * self.work.seconds_per_item)

    def _networks(self, whole: bool) -> Networks:
        """What computes a batch: on the whole device, or in a lane."""
        runtime = self._context.runtime
        return runtime if whole else runtime.lane

    def _submit(
        self, param: str | None, prepare: Callable[..., Item], *args: object
    ) -> "asyncio.Future[Done[Item, Any]]":
        """Decode, preprocess, queue, compute: `prepare` makes the item of `work` on a decoding thread."""
        return self._context.decoders.submit(self._context.scheduler, self.work, param, prepare, *args)


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
