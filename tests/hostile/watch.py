"""Another client: every 50 ms it posts a small image and asks for `/health`, whatever happened to the ones before.

`python -m tests.hostile.watch PORT PID` is a process of its own, so that it waits for nothing but the server; it ends with its
standard input and prints JSON. It also looks at the memory of the server's process and its children.
"""

import asyncio
import json
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np

from tests.hostile.client import Kept, post, request
from tests.hostile.corpus.base import small_png
from tests.hostile.server import ROOT, Server, memory_of

PERIOD_SECONDS = 0.05
MEMORY_SECONDS = 0.1
PATIENCE_SECONDS = 60.0
"""For what is asked and not yet answered at the end."""


class Seen(NamedTuple):
    """Seconds of images and of `/health`, from when they were due; replies other than 200; the largest memory in bytes."""

    images: list[float]
    health: list[float]
    failures: dict[str, int]
    peak_bytes: int

    def image_p99(self) -> float:
        """Seconds."""
        return percentile(self.images, 99)

    def health_p99(self) -> float:
        """Seconds."""
        return percentile(self.health, 99)


def percentile(values: list[float], percent: float) -> float:
    """Infinite where there is nothing."""
    return float(np.percentile(values, percent)) if values else float("inf")


class Watch:
    """What it saw is in `seen` once the block that it watched has ended."""

    seen: Seen


@contextmanager
def watched(server: Server) -> Iterator[Watch]:
    """Watch a server during a block."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.hostile.watch", str(server.port), str(server.pid)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
    )
    watch = Watch()
    try:
        assert process.stdout
        process.stdout.readline()  # it has begun
        yield watch
        output, _ = process.communicate(timeout=PATIENCE_SECONDS + 30)
        watch.seen = Seen(**json.loads(output))
    finally:
        process.kill()
        process.wait()


async def _watch(port: int, over: threading.Event) -> tuple[list[float], list[float], Counter[str]]:
    times: dict[str, list[float]] = {"image": [], "health": []}
    requests = {"image": post(small_png()), "health": request("GET", "/health")}
    idle: dict[str, list[Kept]] = {"image": [], "health": []}
    failures: Counter[str] = Counter()

    async def one(kind: str, due: float) -> None:
        kept = idle[kind].pop() if idle[kind] else Kept(port)
        reply = await kept.ask(requests[kind], PATIENCE_SECONDS)
        idle[kind].append(kept)
        times[kind].append(time.perf_counter() - due)
        if reply.status != 200:
            failures[f"{kind} {reply.status}"] += 1

    tasks, due = set[asyncio.Task[None]](), time.perf_counter()
    while not over.is_set():
        for kind in times:
            task = asyncio.create_task(one(kind, due))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        due += PERIOD_SECONDS
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
    await asyncio.gather(*tasks)
    for kept in (*idle["image"], *idle["health"]):
        kept.close()
    return times["image"], times["health"], failures


def main() -> None:
    """Watch until standard input ends."""
    port, pid = int(sys.argv[1]), int(sys.argv[2])
    over, peak = threading.Event(), [memory_of(pid)]

    def look() -> None:
        while not over.wait(MEMORY_SECONDS):
            peak[0] = max(peak[0], memory_of(pid))

    def wait_for_end() -> None:
        sys.stdin.read()
        over.set()

    for target in (look, wait_for_end):
        threading.Thread(target=target, daemon=True).start()
    print("watching", flush=True)
    images, health, failures = asyncio.run(_watch(port, over))
    print(json.dumps(Seen(images, health, dict(failures), peak[0])._asdict()))


if __name__ == "__main__":
    main()
