"""One scheduler for a device, which owns the only queue: it decides what runs next, and every waiter is answered.

It has lanes: so many batches run at once, each on its part of the device; what would not fill the lanes runs by itself on the whole
device. No timer and no padding: a batch is what of one kind of work waits when a lane is free, in one of the sizes of that work.
What waits is taken fairly between flows. A waiter gets its result or the error of its batch; the place of one that has left, or waits
no longer, is not computed. Waiters are futures of event loops, and the answers of a batch go to a loop in one call. The scheduler is
generic in its items and knows no operation by name.
"""

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

from service.errors import Internal, NotReady
from service.fairness import Entry, FairQueue

log = logging.getLogger(__name__)

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(eq=False, slots=True)
class Work(Generic[Item, Result]):
    """A kind of work: `run` gets items, as many as one of `sizes` says, and returns as many results in their order.

    It is told whether it has the whole device, or a lane. `sizes` ascend from 1 and are for the whole device; a lane gets its part of
    the largest. `seconds_per_item` is of the whole device, which batches that run at once share: a moving average of what was
    measured; 0 before anything ran.
    """

    name: str
    run: Callable[[Sequence[Item], bool], Sequence[Result]]
    sizes: Sequence[int]
    seconds_per_item: float = 0.0

    def __post_init__(self) -> None:
        assert self.sizes[0] == 1, f"what waits alone needs a size of 1, the sizes are {self.sizes}"

    def size_for(self, waiting: int) -> int:
        """The largest size that so many items fill; 0 for none."""
        return next((size for size in reversed(self.sizes) if size <= waiting), 0)

    def measured(self, seconds: float, items: int) -> None:
        """Take a batch into the average."""
        now = seconds / items
        self.seconds_per_item = 0.8 * self.seconds_per_item + 0.2 * now if self.seconds_per_item else now


@dataclass(frozen=True, slots=True)
class Done(Generic[Item, Result]):
    """An item and its result.

    By the monotonic clock: since when it was in the server, when it was queued, when its batch started; and the batch's seconds.
    """

    item: Item
    result: Result
    since: float
    queued: float
    started: float
    seconds: float


class _Waiting(NamedTuple):
    item: Any
    future: "asyncio.Future[Done[Any, Any]]"
    since: float
    queued: float


class _Batch(NamedTuple):
    """What runs next: items of one work, on so many lanes."""

    work: Work[Any, Any]
    waiting: list[_Waiting]
    lanes: int


def answer(answers: Iterable[tuple["asyncio.Future[Any]", object]]) -> None:
    """Give futures their results, or their errors, from another thread: one call to each event loop.

    Whoever has left, or whose loop is closed, is passed over.
    """
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Any], object]]] = {}
    for pair in answers:
        by_loop.setdefault(pair[0].get_loop(), []).append(pair)
    for loop, pairs in by_loop.items():
        with contextlib.suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(_set, pairs)


def _set(answers: list[tuple["asyncio.Future[Any]", object]]) -> None:
    for future, value in answers:
        if future.done():
            continue
        if isinstance(value, Exception):
            future.set_exception(value)
        else:
            future.set_result(value)


class _Shares:
    """Seconds of a device that is shared equally by what runs on it at a time. Not for several threads at once."""

    def __init__(self) -> None:
        self._running, self._seconds, self._since = 0, 0.0, 0.0

    def begin(self) -> float:
        """Something begins to run: a time for `end`."""
        return self._step(+1)

    def end(self, begun: float) -> float:
        """Something ends: its share of the time since it began."""
        return self._step(-1) - begun

    def _step(self, change: int) -> float:
        now = time.monotonic()
        if self._running:
            self._seconds += (now - self._since) / self._running
        self._since, self._running = now, self._running + change
        return self._seconds


class Scheduler:
    """Runs batches, each lane on a thread. `on_batch` is told of each: the work's name, its items, its seconds."""

    def __init__(self, on_batch: Callable[[str, int, float], None] = lambda *_: None, lanes: int = 1) -> None:
        self._on_batch = on_batch
        self._queue = FairQueue[Work[Any, Any], _Waiting]()
        self._wake = threading.Condition()
        self._closed = False
        self._lanes, self._free = lanes, lanes
        self._shares = _Shares()
        self._threads = [threading.Thread(target=self._loop, name=f"lane_{i}", daemon=True) for i in range(lanes)]
        for thread in self._threads:
            thread.start()

    def submit(
        self,
        work: Work[Item, Result],
        item: Item,
        future: "asyncio.Future[Done[Item, Result]]",
        flow: Hashable = None,
        since: float | None = None,
    ) -> None:
        """Queue an item of a flow that has been in the server `since` (by the monotonic clock; now if not given). From any thread.

        `future` gets the answer. Cancelling it before its batch starts takes the item out.

        Raises:
            NotReady: the scheduler is closed.
        """
        now = time.monotonic()
        waiting = _Waiting(item, future, now if since is None else since, now)
        with self._wake:
            if self._closed:
                raise NotReady("the server is stopping")
            self._queue.put(work, flow, work.seconds_per_item, waiting)
            if self._free:
                self._wake.notify()

    def waiting(self) -> int:
        """Items in the queue."""
        with self._wake:
            return len(self._queue)

    def close(self) -> None:
        """Answer what is queued, then stop the threads."""
        with self._wake:
            self._closed = True
            self._wake.notify_all()
        for thread in self._threads:
            thread.join()

    def _loop(self) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._free if self._queue else self._closed)
                if not self._queue:
                    return
                batch = self._take()
                self._free -= batch.lanes
                if self._closed:
                    self._wake.notify_all()  # it may have been the last
            if batch.waiting:
                self._run(batch)
            with self._wake:
                self._free += batch.lanes
                self._wake.notify(batch.lanes - 1)

    def _take(self) -> _Batch:
        """Of the work whose turn it is, the next items, as many as one of its sizes says.

        They get the whole device if nothing runs and the lanes would not be filled, else a lane and their part of what waits.
        Items whose waiters have left are dropped.
        """
        whole = self._free == self._lanes and (self._lanes == 1 or len(self._queue) < self._lanes)
        work = self._queue.first()
        most = work.sizes[-1]
        if not whole:
            most = min(max(1, most // self._lanes), -(-self._queue.count(work) // self._free))
        entries: list[Entry[_Waiting]] = []
        while len(entries) < most and self._queue.count(work):
            entry = self._queue.pop(work)
            if not entry.item.future.done():
                entries.append(entry)
        size = work.size_for(len(entries))
        for entry in entries[size:]:
            self._queue.put_back(work, entry)
        return _Batch(work, [entry.item for entry in entries[:size]], self._lanes if whole else 1)

    def _run(self, batch: _Batch) -> None:
        work, count = batch.work, len(batch.waiting)
        with self._wake:
            begun = self._shares.begin()
        start = time.monotonic()
        try:
            results = work.run([waiting.item for waiting in batch.waiting], batch.lanes == self._lanes)
            assert len(results) == count, f"{len(results)} results for {count} items"
        except Exception:  # whatever it is, every waiter of the batch has to hear of it
            log.exception("a batch of %d failed", count)
            results = None
        seconds = time.monotonic() - start
        with self._wake:
            share = self._shares.end(begun)
            if results is not None:
                work.measured(share, count)
        if results is None:
            error = Internal("the model failed on this batch; the server's log says why")
            answer((waiting.future, error) for waiting in batch.waiting)
            return
        self._on_batch(work.name, count, seconds)
        answer(
            (waiting.future, Done(waiting.item, result, waiting.since, waiting.queued, start, seconds))
            for waiting, result in zip(batch.waiting, results, strict=True)
        )
