"""A closed loop: each connection sends its next request when the last one is answered. By wrk, with one thread."""

import json
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

SCRIPT = Path(__file__).with_name("post.lua")
TIMEOUT_S = 120
LONGER = 4


class NoAnswerError(RuntimeError):
    """No request was answered with 2xx."""


class ClosedLoop(NamedTuple):
    """What a closed loop measured. `rate` is of the `answered` requests, those with 2xx; `errors` are all other ends of one."""

    connections: int
    answered: int
    rate: float
    p50_ms: float
    p99_ms: float
    errors: int
    client_ms: float
    """CPU milliseconds of the client a request."""


def check_wrk() -> None:
    """End the command where wrk is not installed."""
    if not shutil.which("wrk"):
        raise SystemExit("wrk is not installed; it is a package of Debian and Ubuntu: apt-get install wrk")


def closed_loop(url: str, bodies: tuple[Path, str], connections: int, seconds: float) -> ClosedLoop:
    """Post the bodies in turn over a number of connections for some seconds.

    Where not every connection got an answer in that time, the rate would be one of a batch or two: it is measured again for longer.
    """
    try:
        loop = run_wrk(url, bodies, connections, seconds)
    except NoAnswerError:
        loop = None
    if loop and loop.answered + loop.errors >= connections:
        return loop
    return run_wrk(url, bodies, connections, LONGER * seconds)


def run_wrk(url: str, bodies: tuple[Path, str], connections: int, seconds: float) -> ClosedLoop:
    """One run of wrk.

    Raises:
        RuntimeError: see `parse_wrk`.
    """
    listed, content_type = bodies
    command = [
        "wrk", "--threads", "1", "--connections", str(connections), "--duration", f"{round(seconds)}s",
        "--timeout", f"{TIMEOUT_S}s", "--script", str(SCRIPT), url, "--", str(listed), content_type,
    ]  # fmt: skip
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            process.kill()
            raise
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        return parse_wrk(output.read(), connections, usage.ru_utime + usage.ru_stime)


def parse_wrk(printed: str, connections: int, cpu_s: float) -> ClosedLoop:
    """What `post.lua` printed at the end.

    Raises:
        NoAnswerError
        RuntimeError: wrk failed; the message is what it printed.
    """
    match = re.search(r"^RESULT (.*)$", printed, re.MULTILINE)
    if not match:
        raise RuntimeError(f"wrk failed: {printed.strip()}")
    result = json.loads(match[1])
    answered = result["answered"] - result["refused"]
    if answered <= 0:
        raise NoAnswerError(f"none of the requests over {connections} connections was answered: {match[1]}")
    return ClosedLoop(
        connections,
        answered,
        answered / result["seconds"],
        result["p50_ms"],
        result["p99_ms"],
        result["refused"] + result["failed"],
        1000 * cpu_s / max(1, result["answered"]),
    )
