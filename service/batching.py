"""One queue: take what waits, run it, answer every waiter. No timer: a batch is whatever came while the last one ran.

A waiter gets its result, the error of its batch, `DeadlineExceeded`, or, if it has gone, its place is not computed at all.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from service.errors import DeadlineExceeded, Internal, NotReady, Overloaded

log = logging.getLogger(__name__)

Item = TypeVar("Item")
Result = TypeVar("Result")


class Limits(NamedTuple):
    """Most items of a batch, most seconds of waiting work, most seconds an item may wait."""

    batch: int
    queue_seconds: float
    deadline_seconds: float


@dataclass(frozen=True, slots=True)
class Answer(Generic[Result]):
    """A result, when (by the monotonic clock) its batch started, and for how many seconds it ran."""

    result: Result
    started: float
    seconds: float


@dataclass(frozen=True, slots=True)
class _Waiting(Generic[Item, Result]):
    item: Item
    future: "Future[Answer[Result]]"
    since: float


class Batcher(Generic[Item, Result]):
    """`run` gets items and returns as many results in their order. It is called on one thread, under `device`."""

    def __init__(
        self,
        name: str,
        run: Callable[[Sequence[Item]], Sequence[Result]],
        limits: Limits,
        device: threading.Lock,
        on_batch: Callable[[int, float], None],
    ) -> None:
        self._run, self._limits, self._device, self._on_batch = run, limits, device, on_batch
        self._queue: deque[_Waiting[Item, Result]] = deque()
        self._wake = threading.Condition()
        self._closed = False
        self._seconds_per_item = 0.0
        self._running = 0
        self._thread = threading.Thread(target=self._loop, name=f"batcher-{name}", daemon=True)
        self._thread.start()

    def submit(self, item: Item, since: float | None = None) -> "Future[Answer[Result]]":
        """Queue an item that has been in the house `since` (by the monotonic clock; now if not given).

        Cancelling the future before its batch starts takes it out.

        Raises:
            Overloaded: the waiting work would take longer than the limit.
            NotReady: the batcher is closed.
        """
        with self._wake:
            if self._closed:
                raise NotReady("the model is being unloaded")
            self._refuse_overload(0)
            waiting: _Waiting[Item, Result] = _Waiting(item, Future(), time.monotonic() if since is None else since)
            self._queue.append(waiting)
            self._wake.notify()
        return waiting.future

    def refuse_overload(self, coming: int) -> None:
        """Refuse early, when with `coming` items that are not queued yet more would wait than may.

        Raises:
            Overloaded
        """
        with self._wake:
            self._refuse_overload(coming)

    def expect(self, seconds_per_item: float) -> None:
        """What an item takes, before any was seen."""
        with self._wake:
            self._seconds_per_item = self._seconds_per_item or seconds_per_item

    def waiting(self) -> tuple[int, float]:
        """Items in the queue, and the seconds that they should take."""
        with self._wake:
            return len(self._queue), self._wait_seconds()

    def close(self) -> None:
        """Answer what is queued, then stop the thread."""
        with self._wake:
            self._closed = True
            self._wake.notify()
        self._thread.join()

    def _refuse_overload(self, coming: int) -> None:
        wait, limit = self._wait_seconds() + coming * self._seconds_per_item, self._limits.queue_seconds
        if wait > limit:
            message = f"about {wait:.0f} s of work is waiting, the limit is {limit:.0f} s; try again later"
            raise Overloaded(message, wait - limit)

    def _wait_seconds(self) -> float:
        return (len(self._queue) + self._running) * self._seconds_per_item

    def _loop(self) -> None:
        while True:
            with self._wake:
                self._running = 0
                while not self._queue and not self._closed:
                    self._wake.wait()
                if not self._queue:
                    return
            with self._device:
                batch = self._take()
                if batch:
                    self._answer(batch)

    def _take(self) -> list[_Waiting[Item, Result]]:
        """Up to a batch of items whose waiters are still there and in time. Taken once the device is free, not before."""
        batch: list[_Waiting[Item, Result]] = []
        now = time.monotonic()
        with self._wake:
            while self._queue and len(batch) < self._limits.batch:
                waiting = self._queue.popleft()
                if not waiting.future.set_running_or_notify_cancel():
                    continue
                if now - waiting.since > self._limits.deadline_seconds:
                    waiting.future.set_exception(
                        DeadlineExceeded(f"waited more than {self._limits.deadline_seconds:.0f} s for the model")
                    )
                    continue
                batch.append(waiting)
            self._running = len(batch)
        return batch

    def _answer(self, batch: list[_Waiting[Item, Result]]) -> None:
        start = time.monotonic()
        try:
            results = self._run([waiting.item for waiting in batch])
            assert len(results) == len(batch), f"{len(results)} results for {len(batch)} items"
        except Exception:  # whatever it is, every waiter of the batch has to hear of it
            log.exception("a batch of %d failed", len(batch))
            for waiting in batch:
                waiting.future.set_exception(Internal("the model failed on this batch; the server's log says why"))
            return
        seconds = time.monotonic() - start
        per_item = seconds / len(batch)
        self._seconds_per_item = (
            per_item if not self._seconds_per_item else 0.8 * self._seconds_per_item + 0.2 * per_item
        )
        self._on_batch(len(batch), seconds)
        for waiting, result in zip(batch, results, strict=True):
            waiting.future.set_result(Answer(result, start, seconds))
