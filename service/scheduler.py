"""One scheduler for a device, which owns the only queue: it decides what runs next, and every waiter is answered.

No timer: a batch is whatever of one kind of work came while the last batch ran. A waiter gets its result, the error of its
batch or `DeadlineExceeded`; the place of one that has left is not computed. The scheduler is generic in its items and knows no
operation by name.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

from service.errors import DeadlineExceeded, Internal, NotReady, Overloaded

log = logging.getLogger(__name__)

Item = TypeVar("Item")
Result = TypeVar("Result")


class Limits(NamedTuple):
    """Maximum seconds of waiting work, and maximum seconds that an item may wait."""

    queue_seconds: float
    deadline_seconds: float


@dataclass(eq=False, slots=True)
class Work(Generic[Item, Result]):
    """A kind of work: `run` gets at most `max_batch` items and returns as many results in their order.

    `seconds_per_item` is a moving average of what was measured; 0 before anything ran.
    """

    name: str
    run: Callable[[Sequence[Item]], Sequence[Result]]
    max_batch: int
    seconds_per_item: float = 0.0

    def measured(self, seconds: float, items: int) -> None:
        """Take a batch into the average."""
        now = seconds / items
        self.seconds_per_item = 0.8 * self.seconds_per_item + 0.2 * now if self.seconds_per_item else now


@dataclass(frozen=True, slots=True)
class Done(Generic[Result]):
    """A result, when (by the monotonic clock) its batch started, and for how many seconds it ran."""

    result: Result
    started: float
    seconds: float


@dataclass(frozen=True, slots=True)
class _Waiting:
    item: Any
    future: "Future[Done[Any]]"
    since: float


class Scheduler:
    """Runs batches on one thread. `on_batch` is told of each: the work's name, its items, its seconds."""

    def __init__(self, limits: Limits, on_batch: Callable[[str, int, float], None] = lambda *_: None) -> None:
        self._limits, self._on_batch = limits, on_batch
        self._queues: dict[Work[Any, Any], deque[_Waiting]] = {}
        self._wake = threading.Condition()
        self._closed = False
        self._running_seconds = 0.0
        self._thread = threading.Thread(target=self._loop, name="scheduler", daemon=True)
        self._thread.start()

    def submit(self, work: Work[Item, Result], item: Item, since: float | None = None) -> "Future[Done[Result]]":
        """Queue an item that has been in the server `since` (by the monotonic clock; now if not given).

        Cancelling the future before its batch starts takes it out.

        Raises:
            NotReady: the scheduler is closed.
        """
        with self._wake:
            if self._closed:
                raise NotReady("the server is stopping")
            waiting = _Waiting(item, Future(), time.monotonic() if since is None else since)
            self._queues.setdefault(work, deque()).append(waiting)
            self._wake.notify()
        return waiting.future

    def check_overload(self, coming: float = 0.0) -> None:
        """Would an item submitted now wait too long, behind the queue and `coming` seconds of work that will be in it soon?

        Asked once for a request: the items of one request are not overload to each other.

        Raises:
            Overloaded: the waiting work would take longer than the limit.
        """
        with self._wake:
            wait, limit = self._wait_seconds() + coming, self._limits.queue_seconds
        if wait > limit:
            message = f"about {wait:.0f} s of work is waiting, the limit is {limit:.0f} s; try again later"
            raise Overloaded(message, wait - limit)

    def waiting(self) -> tuple[int, float]:
        """Items in the queue, and the seconds that they and the running batch should take."""
        with self._wake:
            return sum(map(len, self._queues.values())), self._wait_seconds()

    def close(self) -> None:
        """Answer what is queued, then stop the thread."""
        with self._wake:
            self._closed = True
            self._wake.notify()
        self._thread.join()

    def _wait_seconds(self) -> float:
        queued = sum(len(queue) * work.seconds_per_item for work, queue in self._queues.items())
        return queued + self._running_seconds

    def _loop(self) -> None:
        while True:
            with self._wake:
                self._running_seconds = 0.0
                while not self._queues and not self._closed:
                    self._wake.wait()
                if not self._queues:
                    return
                work, batch = self._take()
                self._running_seconds = len(batch) * work.seconds_per_item
            if batch:
                self._run(work, batch)

    def _take(self) -> tuple[Work[Any, Any], list[_Waiting]]:
        """The work whose first item has waited longest, and a batch of its items whose waiters are still there and in time."""
        work = min(self._queues, key=lambda each: self._queues[each][0].since)
        queue, now = self._queues[work], time.monotonic()
        batch: list[_Waiting] = []
        while queue and len(batch) < work.max_batch:
            waiting = queue.popleft()
            if not waiting.future.set_running_or_notify_cancel():
                continue
            if now - waiting.since > self._limits.deadline_seconds:
                waiting.future.set_exception(
                    DeadlineExceeded(f"waited more than {self._limits.deadline_seconds:.0f} s for the model")
                )
                continue
            batch.append(waiting)
        if not queue:
            del self._queues[work]
        return work, batch

    def _run(self, work: Work[Any, Any], batch: list[_Waiting]) -> None:
        start = time.monotonic()
        try:
            results = work.run([waiting.item for waiting in batch])
            assert len(results) == len(batch), f"{len(results)} results for {len(batch)} items"
        except Exception:  # whatever it is, every waiter of the batch has to hear of it
            log.exception("a batch of %d failed", len(batch))
            for waiting in batch:
                waiting.future.set_exception(Internal("the model failed on this batch; the server's log says why"))
            return
        seconds = time.monotonic() - start
        with self._wake:
            work.measured(seconds, len(batch))
        self._on_batch(work.name, len(batch), seconds)
        for waiting, result in zip(batch, results, strict=True):
            waiting.future.set_result(Done(result, start, seconds))
