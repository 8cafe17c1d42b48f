"""More requests than the server can answer: how many it answers all the same, and how it tells the others to wait.

Requests arrive at random times at a rate that does not depend on the replies, over kept connections; one more is opened when
all are in use. Beside them some polite clients wait exactly as long as they are told to.
"""

import asyncio
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple, TypeVar, cast

import numpy as np

from tests.hostile.client import HOST, NO_REPLY
from tests.hostile.watch import percentile

T = TypeVar("T")
ANSWER_SECONDS = 60.0
"""How long replies are waited for after the last request was sent."""
RECOVERY_SECONDS = 60.0
WAITERS = 20
LATER_SECONDS = 15.0
"""Polite clients that are told to come back later than this after the end are not waited for, and do not count."""


class Load(NamedTuple):
    """What came of an overload of some seconds. `unanswered`: no reply, or a connection that was closed before it."""

    seconds: float
    rate: float
    sent: int
    answered: int
    statuses: dict[int, int]
    unanswered: int
    refusal_p50: float
    recovery_seconds: float
    waited: int
    accepted: int

    @property
    def goodput(self) -> float:
        """Requests answered with 200 a second."""
        return self.answered / self.seconds


class Wire(asyncio.Protocol):
    """A kept connection with one request at a time, as cheap as can be: the server has the same cores."""

    def __init__(self) -> None:
        self._received = bytearray()
        self._reply: asyncio.Future[tuple[int, int]] | None = None
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none of its subclasses

    def data_received(self, data: bytes) -> None:
        self._received += data
        end = self._received.find(b"\r\n\r\n")
        if end < 0 or self._reply is None or self._reply.done():
            return
        head = bytes(self._received[:end]).lower()
        length = re.search(rb"\r\ncontent-length: *(\d+)", head)
        if length and len(self._received) >= end + 4 + int(length[1]):
            wait = re.search(rb"\r\nretry-after: *(\d+)", head)
            self._received.clear()
            self._reply.set_result((int(head.split(b" ", 2)[1]), int(wait[1]) if wait else 0))

    def connection_lost(self, exc: Exception | None) -> None:
        if self._reply and not self._reply.done():
            self._reply.set_exception(exc or ConnectionResetError())

    @property
    def closed(self) -> bool:
        """It cannot be used any more."""
        return self._transport.is_closing()

    def close(self) -> None:
        """Now."""
        self._transport.abort()

    async def ask(self, data: bytes) -> tuple[int, int]:
        """Status and `Retry-After` (0: none).

        Raises:
            OSError: the connection was closed.
        """
        self._reply = asyncio.get_running_loop().create_future()
        self._transport.write(data)
        return await self._reply


class Pool:
    """Kept connections to one server."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: list[Wire] = []

    async def ask(self, data: bytes, wire: Wire | None = None) -> tuple[int, int]:
        """Over any connection, or a given one; `NO_REPLY` where it was closed."""
        try:
            if wire is not None:
                return await wire.ask(data)
            while self._idle and self._idle[-1].closed:
                self._idle.pop()
            wire = self._idle.pop() if self._idle else await self.open()
            reply = await wire.ask(data)
        except OSError:
            return NO_REPLY, 0
        self._idle.append(wire)
        return reply

    async def open(self) -> Wire:
        """One more connection."""
        _, wire = await asyncio.get_running_loop().create_connection(Wire, HOST, self._port)
        return wire

    def close(self) -> None:
        """All that are idle."""
        for wire in self._idle:
            wire.close()


def measure_capacity(port: int, data: bytes, connections: int, seconds: float) -> float:
    """Requests a second of a closed loop over a few connections."""
    return _run(lambda: _capacity(port, data, connections, seconds))


def measure_latencies(port: int, data: bytes, connections: int, seconds: float) -> list[float]:
    """Seconds of each request of a closed loop; those that are not answered with 200 are infinite."""
    return _run(lambda: _closed_loop(port, data, connections, seconds))


def overload(port: int, data: bytes, rate: float, seconds: float, seed: int = 0) -> Load:
    """See the module."""
    return _run(lambda: _overload(port, data, rate, seconds, seed))


def _run(make: Callable[[], Coroutine[Any, Any, T]]) -> T:
    factory = None
    if sys.platform != "win32":
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(make())


async def _capacity(port: int, data: bytes, connections: int, seconds: float) -> float:
    start = time.perf_counter()
    latencies = await _closed_loop(port, data, connections, seconds)
    return sum(np.isfinite(latencies)) / (time.perf_counter() - start)


async def _closed_loop(port: int, data: bytes, connections: int, seconds: float) -> list[float]:
    pool, latencies, until = Pool(port), list[float](), time.perf_counter() + seconds

    async def one() -> None:
        wire = await pool.open()
        while time.perf_counter() < until:
            start = time.perf_counter()
            status, _ = await pool.ask(data, wire)
            latencies.append(time.perf_counter() - start if status == 200 else float("inf"))
            if status == NO_REPLY:
                wire = await pool.open()
            if status != 200:
                await asyncio.sleep(0.05)
        wire.close()

    await asyncio.gather(*(one() for _ in range(connections)))
    return latencies


async def _overload(port: int, data: bytes, rate: float, seconds: float, seed: int) -> Load:
    pool, statuses, refusals = Pool(port), Counter[int](), list[float]()
    start = time.perf_counter()
    answered = [0]

    async def one() -> None:
        sent = time.perf_counter()
        status, _ = await pool.ask(data)
        statuses[status] += 1
        now = time.perf_counter()
        answered[0] += status == 200 and now < start + seconds
        if status == 429:
            refusals.append(now - sent)

    polite = [asyncio.create_task(_polite(pool, data, start + seconds)) for _ in range(WAITERS)]
    rng = np.random.default_rng(seed)
    times = np.cumsum(rng.exponential(1 / rate, round(2 * rate * seconds) + 16))
    tasks = []
    for due in times[times < seconds]:
        await asyncio.sleep(max(0.0, start + float(due) - time.perf_counter()))
        tasks.append(asyncio.create_task(one()))
    await asyncio.sleep(max(0.0, start + seconds - time.perf_counter()))
    recovery = await _recovery(port, data)
    _, pending = await asyncio.wait(tasks, timeout=ANSWER_SECONDS)
    for task in pending:
        task.cancel()
    waited = await asyncio.gather(*polite)
    pool.close()
    return Load(
        seconds=seconds,
        rate=rate,
        sent=len(tasks),
        answered=answered[0] + sum(answers for _, _, answers in waited),
        statuses=dict(statuses),
        unanswered=len(pending) + statuses[NO_REPLY],
        refusal_p50=percentile(refusals, 50),
        recovery_seconds=recovery,
        waited=sum(count for count, _, _ in waited),
        accepted=sum(count for _, count, _ in waited),
    )


async def _polite(pool: Pool, data: bytes, until: float) -> tuple[int, int, int]:
    """How often it waited exactly as it was told, how often it was accepted then, and its answers before the end."""
    wire = await pool.open()
    waited = accepted = answers = wait = 0
    while time.perf_counter() + wait < until + (LATER_SECONDS if wait else 0.0):
        await asyncio.sleep(wait)
        status, told = await pool.ask(data, wire)
        answers += status == 200 and time.perf_counter() < until
        if wait:
            waited, accepted = waited + 1, accepted + (status == 200)
        wait = told
        if status == NO_REPLY:
            wire = await pool.open()
    wire.close()
    return waited, accepted, answers


async def _recovery(port: int, data: bytes) -> float:
    """Seconds until a newcomer is answered with 200."""
    start = time.perf_counter()
    pool = Pool(port)
    while time.perf_counter() - start < RECOVERY_SECONDS:
        status, _ = await pool.ask(data)
        if status == 200:
            pool.close()
            return time.perf_counter() - start
        await asyncio.sleep(0.1)
    pool.close()
    return float("inf")
