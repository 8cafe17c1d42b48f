"""What the server has taken on, and whether it can take on more: bytes of requests, and seconds of work by flow.

A flow is a connection. Work is shared fairly between flows (`service.fairness`), so what a request waits for is not the whole queue:
it is at most its own cost from each other flow. A request that would wait too long is told when to come back, and the time
that it is told is booked: see `Backlog`.
"""

import math
import threading
import time
from collections.abc import Callable, Hashable

from service.errors import Overloaded

SMALL_PART, RESERVED_PART = 256, 4
"""A request is small up to this part of all bytes that may be held, 1 MB of 256; and for small ones this part is reserved."""

NEWCOMERS = 0.6
"""Share of the queue that is for those who come for the first time. The rest is for those who were told to come back now."""

BOOKED = 0.8
"""Share of the device's time that is booked for those who were told to come back."""

LEAST_COME_BACK = 0.02
"""Share of the refused that is expected to come back at least; what it is, is learned."""

EARLY, LATE = 0.5, 3.0
"""Seconds around the time that a flow was told, in which it counts as one that was told to come back now."""

FORGET = 1.02
"""The least seconds of a byte grow by this with each request, until one with less comes."""

MAX_BOOKED = 10_000
"""Flows that are remembered."""


class Backlog:
    """Seconds of work that waits for something, by flow, and the most that a request may wait for it.

    Who is refused is told the first time that is not booked yet, and the work of the refused is booked one after the other, as much
    of it as usually comes back: so they do not all come back at once, and who comes back then is preferred to newcomers.
    """

    def __init__(self, limit: float, time_of: Callable[[], float] = time.monotonic) -> None:
        self._limit, self._time = limit, time_of
        self._waiting: dict[Hashable, float] = {}
        self._total = 0.0
        self._booked: dict[Hashable, float] = {}
        self._next = 0.0
        self._come_back = 1.0
        self._lock = threading.Lock()

    @property
    def total(self) -> float:
        """Of all flows."""
        return max(0.0, self._total)

    def add(self, flow: Hashable, seconds: float) -> None:
        """Work of a flow, whatever waits.

        Raises:
            Overloaded: it would wait too long.
        """
        with self._lock:
            self._check(flow, seconds)
            if flow in self._booked:
                self._end_booking(flow, came=True)
            self._total += seconds
            self._waiting[flow] = self._waiting.get(flow, 0.0) + seconds

    def check(self, flow: Hashable, seconds: float) -> None:
        """Like `add`, and nothing is added."""
        with self._lock:
            self._check(flow, seconds)

    def remove(self, flow: Hashable, seconds: float) -> None:
        """Work that was done, or given up."""
        with self._lock:
            left = self._waiting.pop(flow, 0.0) - seconds
            self._total -= seconds
            if left > 1e-9:
                self._waiting[flow] = left
            if not self._waiting:
                self._total = 0.0

    def _check(self, flow: Hashable, seconds: float) -> None:
        newcomers = NEWCOMERS * self._limit
        if self._total <= newcomers:
            return
        own = self._waiting.get(flow, 0.0) + seconds
        wait = sum(min(waiting, own) for other, waiting in self._waiting.items() if other != flow)
        now = self._time()
        limit = self._limit if self._was_told(flow, now) else newcomers
        if wait > limit:
            message = f"about {wait:.1f} s of work is before this request, the limit is {limit:.1f} s; try again later"
            raise Overloaded(message, self._book(flow, seconds, now, wait - newcomers))

    def _was_told(self, flow: Hashable, now: float) -> bool:
        due = self._booked.get(flow)
        return due is not None and due - EARLY <= now <= due + LATE

    def _book(self, flow: Hashable, seconds: float, now: float, over: float) -> float:
        """Seconds from now for which the flow's work is booked. Beyond what may be told, nothing is booked."""
        while self._booked and self._booked[first := next(iter(self._booked))] + LATE < now:
            self._end_booking(first, came=False)
        due = max(now + over, self._next)
        wait = math.ceil(due - now)
        if flow in self._booked:  # it came too early
            self._end_booking(flow, came=False)
        if wait <= Overloaded.MAX_RETRY_AFTER:
            self._next = due + seconds * max(LEAST_COME_BACK, self._come_back) / BOOKED
            self._booked[flow] = now + max(1, wait)
            if len(self._booked) > MAX_BOOKED:
                del self._booked[next(iter(self._booked))]
        return due - now

    def _end_booking(self, flow: Hashable, came: bool) -> None:
        """Whoever does not come back when it was told is expected less from then on: its time goes to others."""
        del self._booked[flow]
        self._come_back += 0.02 * (came - self._come_back)


class Admission:
    """Of a server. `seconds` is the time of the device and of ordinary decoding; `heavy` that of decoding large images."""

    def __init__(self, max_bytes: int, queue_seconds: float, time_of: Callable[[], float] = time.monotonic) -> None:
        self.seconds, self.heavy = Backlog(queue_seconds, time_of), Backlog(queue_seconds, time_of)
        self._free = self._max_bytes = max_bytes
        self.bytes_given_back = 0
        self._seconds_per_byte = 0.0
        self._lock = threading.Lock()

    def learn(self, size: int, seconds: float) -> None:
        """That a request with so many bytes of images took so many seconds of work. What is kept is the least of the last requests."""
        now = seconds / max(1, size)
        self._seconds_per_byte = min(now, self._seconds_per_byte * FORGET) if self._seconds_per_byte else now

    def least_seconds(self, size: int) -> float:
        """What a request of so many bytes takes at least, as far as is known before it is read."""
        return self._seconds_per_byte * size

    def claim(self, flow: Hashable) -> "Claim":
        """What a request of a flow takes, nothing yet."""
        return Claim(self, flow)

    @property
    def bytes_held(self) -> int:
        """That requests hold."""
        return self._max_bytes - self._free

    def take(self, size: int, held: int) -> None:
        """Bytes for a request that holds some.

        What is small has room as long as there is any. What is not may hold twice the bytes that are free beside the part for the
        small: half of all bytes if it is alone; and however many requests are large, none takes the room of the small ones.

        Raises:
            Overloaded
        """
        with self._lock:
            free = self._free - size
            if free < 0 or held + size > max(
                self._max_bytes // SMALL_PART, 2 * (free - self._max_bytes // RESERVED_PART)
            ):
                raise Overloaded(
                    f"the requests in flight have {self.bytes_held:,} bytes of at most {self._max_bytes:,}; "
                    "try again later, or send less at once",
                    1.0,
                )
            self._free = free

    def give_back(self, size: int) -> None:
        """Bytes that are not held any more."""
        with self._lock:
            self._free += size
            self.bytes_given_back += size


class Claim:
    """What one request holds. Release it when the response was sent; whatever it holds then is free."""

    def __init__(self, admission: Admission, flow: Hashable) -> None:
        self.flow = flow
        self._admission = admission
        self._bytes = 0
        self._held: dict[Backlog, float] = {}
        self._released = False
        self._lock = threading.Lock()

    def take(self, size: int) -> None:
        """Bytes that the request holds from now on.

        Raises:
            Overloaded: there is no room for them.
        """
        self._admission.take(size, self._bytes)
        self._bytes += size

    def check(self, size: int) -> None:
        """Before a body of so many bytes is read for nothing: whether its work would be accepted, as far as that is known.

        Raises:
            Overloaded
        """
        self._admission.seconds.check(self.flow, self._admission.least_seconds(size))

    def admit(self, seconds: float, size: int = 0) -> None:
        """Work of the device and of ordinary decoding, for so many bytes of images.

        Raises:
            Overloaded
        """
        if size:
            self._admission.learn(size, seconds)
        self._add(self._admission.seconds, seconds)

    def admit_heavy(self, seconds: float) -> None:
        """Decoding of a large image. From any thread.

        Raises:
            Overloaded
        """
        self._add(self._admission.heavy, seconds)

    def done(self, seconds: float) -> None:
        """Part of what was admitted is done. From any thread."""
        self._remove(self._admission.seconds, seconds)

    def done_heavy(self, seconds: float) -> None:
        """Part of what was admitted as heavy is done. From any thread."""
        self._remove(self._admission.heavy, seconds)

    def release(self) -> None:
        """Give back all. What is admitted later is given back at once."""
        with self._lock:
            self._released = True
            size, self._bytes = self._bytes, 0
            held, self._held = self._held, {}
        self._admission.give_back(size)
        for backlog, seconds in held.items():
            backlog.remove(self.flow, seconds)

    def _add(self, backlog: Backlog, seconds: float) -> None:
        backlog.add(self.flow, seconds)
        with self._lock:
            if not self._released:
                self._held[backlog] = self._held.get(backlog, 0.0) + seconds
                return
        backlog.remove(self.flow, seconds)

    def _remove(self, backlog: Backlog, seconds: float) -> None:
        with self._lock:
            held = self._held.get(backlog, 0.0)
            seconds = min(seconds, held)
            if seconds <= 0:
                return
            self._held[backlog] = held - seconds
        backlog.remove(self.flow, seconds)
