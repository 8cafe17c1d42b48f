"""An open loop: requests arrive at random times (Poisson), whether or not earlier ones are answered.

`python -m benchmarks.load.poisson URL LIST CONTENT-TYPE --rate 30 --seconds 20` prints JSON. Latency counts from the time at which a
request was due, so a client that falls behind does not hide the server's queue. Connections are kept and reused; one more is opened
when all are in use.
"""

import argparse
import asyncio
import gc
import json
import re
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import numpy as np

DRAIN_S = 30.0
"""How long answers are waited for after the last request was sent."""


class OpenLoop(NamedTuple):
    """What an open loop measured. `errors` are answers other than 2xx, and requests that were not answered."""

    rate: float
    requests: int
    p50_ms: float
    p99_ms: float
    errors: int
    client_ms: float
    """CPU milliseconds of the client a request."""


class Connection(asyncio.Protocol):
    """One HTTP/1.1 connection with one request at a time."""

    def __init__(self) -> None:
        self.received = bytearray()
        self.answer: asyncio.Future[int] | None = None
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Collect until the response is complete."""
        self.received += data
        if self.answer and not self.answer.done() and (status := complete_status(self.received)):
            self.answer.set_result(status)

    def connection_lost(self, exc: Exception | None) -> None:
        """A request that waits has failed."""
        if self.answer and not self.answer.done():
            self.answer.set_exception(exc or ConnectionResetError("the server closed the connection"))

    async def ask(self, request: bytes) -> int:
        """Status of the response."""
        self.received.clear()
        self.answer = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return await self.answer


def complete_status(received: bytearray) -> int | None:
    """The status of a response whose body has arrived whole, by its length or its last chunk; None before."""
    end = received.find(b"\r\n\r\n")
    if end < 0:
        return None
    head = bytes(received[:end]).lower()
    length = re.search(rb"\r\ncontent-length: *(\d+)", head)
    whole = len(received) >= end + 4 + int(length[1]) if length else received.endswith(b"0\r\n\r\n")
    return int(head.split(b" ", 2)[1]) if whole else None


def arrival_times(rate: float, seconds: float, seed: int) -> np.ndarray:
    """Seconds from the start at which requests are due [R]."""
    rng = np.random.default_rng(seed)
    times = np.cumsum(rng.exponential(1 / rate, round(2 * rate * seconds) + 16))
    return times[times < seconds]


def read_requests(url: str, listed: Path, content_type: str) -> list[bytes]:
    """Whole requests, ready to be written to a socket."""
    place = urlsplit(url)
    requests = []
    for line in listed.read_text().splitlines():
        body = Path(line).read_bytes()
        head = (
            f"POST {place.path} HTTP/1.1\r\nHost: {place.netloc}\r\nContent-Type: {content_type}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        requests.append(head.encode() + body)
    return requests


async def send(url: str, requests: Sequence[bytes], times: np.ndarray) -> list[float | None]:
    """Milliseconds of each request from when it was due; None for an error."""
    place, loop = urlsplit(url), asyncio.get_running_loop()
    assert place.hostname
    assert place.port
    host, port = place.hostname, place.port
    idle: list[Connection] = []
    latencies: list[float | None] = [None] * len(times)

    async def one(index: int, due: float) -> None:
        try:
            connection = idle.pop() if idle else None
            if connection is None or connection.transport.is_closing():
                _, connection = await loop.create_connection(Connection, host, port)
            status = await connection.ask(requests[index % len(requests)])
        except OSError:
            return
        idle.append(connection)
        if 200 <= status < 300:
            latencies[index] = 1000 * (time.perf_counter() - due)

    start, tasks = time.perf_counter(), []
    for index, after in enumerate(times):
        await asyncio.sleep(start + after - time.perf_counter())
        tasks.append(asyncio.create_task(one(index, start + after)))
    if tasks:
        _, pending = await asyncio.wait(tasks, timeout=DRAIN_S)
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
    for connection in idle:
        connection.transport.close()
    return latencies


def summarize(rate: float, latencies: Sequence[float | None], cpu_s: float) -> OpenLoop:
    """Percentiles of the answered requests; NaN where none was."""
    answered = [latency for latency in latencies if latency is not None]
    p50, p99 = np.percentile(answered, [50, 99]) if answered else (np.nan, np.nan)
    errors = len(latencies) - len(answered)
    return OpenLoop(rate, len(latencies), float(p50), float(p99), errors, 1000 * cpu_s / max(1, len(latencies)))


def open_loop(url: str, bodies: tuple[Path, str], rate: float, seconds: float, seed: int) -> OpenLoop:
    """In a process of its own, so that its CPU time is its cost."""
    command = [sys.executable, "-m", "benchmarks.load.poisson", url, str(bodies[0]), bodies[1]]
    options = [f"--rate={rate}", f"--seconds={seconds}", f"--seed={seed}"]
    done = subprocess.run([*command, *options], stdout=subprocess.PIPE, text=True, check=True)
    return OpenLoop(**json.loads(done.stdout))


def main() -> None:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("list", type=Path)
    parser.add_argument("content_type")
    parser.add_argument("--rate", type=float, required=True, help="requests a second")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    requests = read_requests(args.url, args.list, args.content_type)
    times = arrival_times(args.rate, args.seconds, args.seed)
    gc.disable()
    before = resource.getrusage(resource.RUSAGE_SELF)
    latencies = asyncio.run(send(args.url, requests, times))
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(json.dumps(summarize(args.rate, latencies, cpu_s)._asdict()))


if __name__ == "__main__":
    main()
