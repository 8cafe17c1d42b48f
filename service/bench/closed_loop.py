"""A closed loop over kept connections, from this process: each sends its next request when the last one is answered."""

import asyncio
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

ANSWER_SECONDS = 120.0
"""How long answers are waited for after the last request was sent."""
PAUSE_SECONDS = 0.1
"""After a failure."""


class Requests(NamedTuple):
    """Whole HTTP/1.1 requests, sent in turn to one address."""

    host: str
    port: int
    messages: tuple[bytes, ...]


class Loop(NamedTuple):
    """What a closed loop gave: seconds of every request that was answered with 200, all others by status or reason.

    `seconds` is until the last answer, `client_seconds` the CPU time of this process.
    """

    latencies: list[float]
    failures: Counter[str]
    seconds: float
    client_seconds: float


def post_requests(host: str, port: int, path: str, content_type: str, bodies: Sequence[bytes]) -> Requests:
    """A POST of each body."""
    messages = []
    for body in bodies:
        head = (
            f"POST {path} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: {content_type}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        messages.append(head.encode() + body)
    return Requests(host, port, tuple(messages))


def run_closed_loop(requests: Requests, clients: int, seconds: float, answer_seconds: float = ANSWER_SECONDS) -> Loop:
    """Every connection sends at least one request, and none after `seconds`. What is sent then is waited for and counts."""
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(_run(requests, clients, seconds, answer_seconds))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """The event loop that costs less, as in the server."""
    if sys.platform == "win32":
        return None
    import uvloop

    return uvloop.new_event_loop


async def _run(requests: Requests, clients: int, seconds: float, answer_seconds: float) -> Loop:
    latencies: list[float] = []
    failures: Counter[str] = Counter()
    start, cpu = time.perf_counter(), time.process_time()
    tasks = [
        asyncio.create_task(_connection(requests, number, start + seconds, latencies, failures))
        for number in range(clients)
    ]
    done, pending = await asyncio.wait(tasks, timeout=seconds + answer_seconds)
    took, used = time.perf_counter() - start, time.process_time() - cpu
    for task in pending:
        task.cancel()
    await asyncio.gather(*pending, return_exceptions=True)
    if pending:
        failures[f"no answer in {answer_seconds:.0f} s"] += len(pending)
    for task in done:
        task.result()
    return Loop(latencies, failures, took, used)


async def _connection(
    requests: Requests, number: int, until: float, latencies: list[float], failures: Counter[str]
) -> None:
    """One request after the other; after an error over a new connection."""
    writer: asyncio.StreamWriter | None = None
    try:
        while True:
            start = time.perf_counter()
            try:
                if writer is None:
                    reader, writer = await asyncio.open_connection(requests.host, requests.port)
                writer.write(requests.messages[number % len(requests.messages)])
                status = await read_status(reader)
            except (OSError, asyncio.IncompleteReadError) as error:
                failure = "connection refused" if isinstance(error, ConnectionRefusedError) else "connection lost"
                _close(writer)
                writer = None
            else:
                failure = "" if status == 200 else str(status)
            if failure:
                failures[failure] += 1
                await asyncio.sleep(PAUSE_SECONDS)
            else:
                latencies.append(time.perf_counter() - start)
            if time.perf_counter() >= until:
                return
            number += 1
    finally:
        _close(writer)


def _close(writer: asyncio.StreamWriter | None) -> None:
    if writer is not None:
        writer.close()


async def read_status(reader: asyncio.StreamReader) -> int:
    """Read a whole response that states its length; its status.

    Raises:
        OSError, IncompleteReadError: the connection ended, or the response does not state its length.
    """
    head = await reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"\r\ncontent-length: *(\d+)", head, re.IGNORECASE)
    if not length:
        raise ConnectionError("a response without content-length")
    await reader.readexactly(int(length[1]))
    return int(head.split(b" ", 2)[1])
