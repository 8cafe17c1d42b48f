"""What operations share: the options of an embedding, where an image's time went, and what an operation is made from."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Literal, NamedTuple, Protocol, runtime_checkable

from models.bundle.reader import Bundle
from models.images.decode import DecodeLimits
from models.images.preprocess import Fit
from models.runtimes.networks import Networks, Runtime
from service.admission import Claim
from service.operations.decoders import Decoders
from service.scheduler import Done, Item, Scheduler, Work

Output = Literal["pooled", "patches"]
DType = Literal["float32", "float16"]


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

    def seconds(self, data: bytes) -> float:
        """About what an image takes of the machine, before its header was read."""
        return self._context.decoders.seconds(len(data)) + self.work.seconds_per_item

    def admit(self, claim: Claim, images: Sequence[bytes]) -> None:
        """See `Operation.admit`."""
        claim.admit(sum(map(self.seconds, images)), sum(map(len, images)))

    def _networks(self, whole: bool) -> Networks:
        """What computes a batch: on the whole device, or in a lane."""
        runtime = self._context.runtime
        return runtime if whole else runtime.lane

    def _submit(
        self, claim: Claim, data: bytes, param: str | None, prepare: Callable[..., Item], *args: object
    ) -> "asyncio.Future[Done[Item, Any]]":
        """Decode, preprocess, queue, compute: `prepare(reader, data, *args)` makes the item of `work` on a decoding thread."""
        context, seconds = self._context, self.seconds(data)
        future = context.decoders.submit(context.scheduler, self.work, claim, len(data), param, prepare, data, *args)
        future.add_done_callback(lambda _: claim.done(seconds))
        return future


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

    def admit(self, claim: Claim, images: Sequence[bytes]) -> None:
        """Called once for a request, before its images.

        Raises:
            Overloaded: it would wait too long for the work of others.
        """
        ...

    async def __call__(self, data: bytes, *args: Any, **options: Any) -> Any:
        """One image's result.

        Raises:
            ServiceError: the image, the options, or the server's state.
        """
        ...
