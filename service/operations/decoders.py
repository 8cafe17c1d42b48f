"""The threads that have images decoded, shared by all operations, and what waits for them."""

import asyncio
import contextlib
import os
import threading
import time
from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple

from models.errors import IJEPAError
from models.images.headers.base import HeavyImage
from service.admission import Claim
from service.decoding.base import ImageReader, ThreadReader, workers_supported
from service.decoding.process import Worker
from service.decoding.starter import Starter
from service.errors import NotReady, translate
from service.fairness import FairQueue
from service.scheduler import Done, Item, Result, Scheduler, Work, answer

SMALL_BYTES = 300_000
"""An image with no more bytes is small: a photograph of one megapixel is. One of the light readers is for these alone, so that they
never wait until large ones are decoded."""

FIXED_BYTES = 4096
"""An image costs as much as its bytes and so many more."""


USUAL_SECONDS_PER_BYTE = 3e-8
"""Of a photograph, before anything was measured."""

MOST_TIMES = 10
"""What was expected, as which an image counts in the average at most: the first ones wait for processes to start."""

MAX_LIGHT = 16
"""Light workers, where there are as many processors: more keep the event loop from running."""

N_HEAVY = 1
"""Heavy workers: each may take the memory of the largest image."""


class _Task(NamedTuple):
    """An image to be decoded, and who waits for what is computed of it."""

    future: "asyncio.Future[Any]"
    arrived: float
    scheduler: Scheduler
    work: Work[Any, Any]
    claim: Claim
    size: int
    param: str | None
    prepare: Callable[..., Any]
    args: tuple[object, ...]
    heavy_seconds: float = 0.0


class _Line:
    """A fair queue of tasks that threads wait at; some of them for small images alone."""

    def __init__(self) -> None:
        self._queue = FairQueue[bool, _Task]()
        lock = threading.Lock()
        self._any, self._small = threading.Condition(lock), threading.Condition(lock)
        self._closed = False

    def __len__(self) -> int:
        with self._any:
            return len(self._queue)

    def put(self, flow: Hashable, cost: float, task: _Task) -> None:
        """A task that costs so much.

        Raises:
            NotReady: closed.
        """
        with self._any:
            if self._closed:
                raise NotReady("the server is stopping")
            small = task.size <= SMALL_BYTES
            self._queue.put(small, flow, cost, task)
            self._any.notify()
            if small:
                self._small.notify()

    def get(self, only_small: bool = False) -> _Task | None:
        """The next task, for which this waits; None once there is none and none will come."""
        if only_small:
            with self._small:
                self._small.wait_for(lambda: self._queue.count(True) or self._closed)
                return self._queue.pop(True).item if self._queue.count(True) else None
        with self._any:
            self._any.wait_for(lambda: len(self._queue) or self._closed)
            return self._queue.pop(self._queue.first()).item if self._queue else None

    def close(self) -> None:
        """No more tasks."""
        with self._any:
            self._closed = True
            self._any.notify_all()
            self._small.notify_all()


class Decoders:
    """Threads, each with a reader of its own: `light` ones for most images, `heavy` ones for those that a light one finds costly.

    Of several light ones the last is for small images alone. What is decoded goes on to the scheduler from its thread: the event
    loop hears of an image when it is computed.
    """

    def __init__(
        self, light: Sequence[ImageReader], heavy: Sequence[ImageReader], stop: Callable[[], None] = lambda: None
    ) -> None:
        self._light, self._heavy = _Line(), _Line()
        self._light_count, self._heavy_count = len(light), len(heavy)
        self._processors = max(1, len(light) - 1)
        self._seconds_per_byte = USUAL_SECONDS_PER_BYTE / self._processors
        self._readers, self._stop = [*light, *heavy], stop
        self._threads = [
            *(
                threading.Thread(
                    target=self._run_light, args=(reader, 0 < i == len(light) - 1), name=f"decode_{i}", daemon=True
                )
                for i, reader in enumerate(light)
            ),
            *(
                threading.Thread(target=self._run_heavy, args=(reader,), name=f"heavy_{i}", daemon=True)
                for i, reader in enumerate(heavy)
            ),
        ]
        for thread in self._threads:
            thread.start()

    def waiting(self) -> tuple[int, int]:
        """Images that no thread has taken yet, and those of them that wait for a heavy reader."""
        heavy = len(self._heavy)
        return len(self._light) + heavy, heavy

    def restarts(self) -> int:
        """How often a reader's process had to be started again."""
        return sum(reader.restarts for reader in self._readers)

    def seconds(self, size: int) -> float:
        """What decoding an ordinary image of so many bytes takes of the machine, by what was measured."""
        return self._seconds_per_byte * (size + FIXED_BYTES)

    def submit(
        self,
        scheduler: Scheduler,
        work: Work[Item, Result],
        claim: Claim,
        size: int,
        param: str | None,
        prepare: Callable[..., Item],
        *args: object,
    ) -> "asyncio.Future[Done[Item, Result]]":
        """`prepare(reader, *args)` on a thread, for an image of `size` bytes, and what it returns to the scheduler.

        Cancelling the future stops both. It raises what `prepare` raised, of which errors of `models` become those of a request at
        `param`; `Overloaded` for an image that is costly and would wait too long; and the errors of `Scheduler`.
        """
        future: asyncio.Future[Done[Item, Result]] = asyncio.get_running_loop().create_future()
        task = _Task(future, time.monotonic(), scheduler, work, claim, size, param, prepare, args)
        self._light.put(claim.flow, size + FIXED_BYTES, task)
        return future

    def close(self) -> None:
        """Finish what waits."""
        self._light.close()
        for thread in self._threads[: self._light_count]:
            thread.join()
        self._heavy.close()
        for thread in self._threads[self._light_count :]:
            thread.join()
        self.stop()

    def stop(self) -> None:
        """Whatever is being decoded, and what waits. From any thread."""
        for reader in self._readers:
            reader.close()
        self._stop()

    def _run_light(self, reader: ImageReader, only_small: bool) -> None:
        with contextlib.suppress(IJEPAError):  # the first image says it
            reader.start()
        while task := self._light.get(only_small):
            if not task.future.done():
                start = time.monotonic()
                try:
                    self._decode(task, reader)
                except HeavyImage as heavy:
                    self._hand_over(task, heavy.seconds)
                else:
                    self._measured(time.monotonic() - start, task.size)
            del task  # an image may be large, and the next one may be long in coming

    def _run_heavy(self, reader: ImageReader) -> None:
        while task := self._heavy.get():
            if not task.future.done():
                self._decode(task, reader)
            task.claim.done_heavy(task.heavy_seconds)
            del task

    def _decode(self, task: _Task, reader: ImageReader) -> None:
        try:
            item = task.prepare(reader, *task.args)
            task.scheduler.submit(task.work, item, task.future, task.claim.flow, task.arrived)
        except HeavyImage:
            raise
        except IJEPAError as error:
            answer([(task.future, translate(error, task.param))])
        except Exception as error:  # noqa: BLE001 -- whatever it is, the one who waits has to hear of it
            answer([(task.future, error)])

    def _hand_over(self, task: _Task, seconds: float) -> None:
        """To the heavy readers, if it would not wait there too long."""
        try:
            seconds /= self._heavy_count
            task.claim.admit_heavy(seconds)
            self._heavy.put(task.claim.flow, seconds, task._replace(heavy_seconds=seconds))
        except IJEPAError as error:
            answer([(task.future, error)])

    def _measured(self, seconds: float, size: int) -> None:
        """Into the average; the threads share the machine."""
        now = seconds / self._processors / (size + FIXED_BYTES)
        self._seconds_per_byte += 0.05 * (min(now, MOST_TIMES * self._seconds_per_byte) - self._seconds_per_byte)


def open_decoders(decode_seconds: float) -> Decoders:
    """A light worker for each processor, one for small images, and a heavy one; an image gets so many CPU seconds.

    Threads where the system lacks such processes.
    """
    light = min(MAX_LIGHT, os.cpu_count() or 1) + 1
    if not workers_supported():
        return Decoders([ThreadReader() for _ in range(light)], [ThreadReader() for _ in range(N_HEAVY)])
    starter = Starter()
    starter.open()
    return Decoders(
        [Worker(starter, light=True, decode_seconds=decode_seconds) for _ in range(light)],
        [Worker(starter, light=False, decode_seconds=decode_seconds) for _ in range(N_HEAVY)],
        starter.close,
    )
