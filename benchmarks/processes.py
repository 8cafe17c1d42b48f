"""Servers in processes of their own, stopped with everything that they started, whatever happens."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

MARK = "BENCHMARK_PROCESS"
"""The environment variable by which the descendants of a process are found, also those that left its session."""
PRIVATE = {
    "DO_NOT_TRACK": "1",
    "BENTOML_DO_NOT_TRACK": "True",
    "RAY_USAGE_STATS_ENABLED": "0",
    "HF_HUB_OFFLINE": "1",
    "LITSERVE_DISABLE_TELEMETRY": "1",
}
"""Nothing that is measured leaves the machine."""
LAST_LINES = 4
STOP_S = 15.0


class ProcessError(Exception):
    """A process that failed, or was not ready in time. The message has the last lines that it printed."""


@contextlib.contextmanager
def started(
    command: Sequence[str], environment: Mapping[str, str], log: Path, ready: Callable[[], bool], timeout_s: float = 180
) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is `ready`. At the end it and its descendants are stopped.

    Raises:
        ProcessError: see there.
    """
    mark = uuid.uuid4().hex
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **PRIVATE, **environment, MARK: mark},
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + timeout_s
        while not ready():
            if process.poll() is not None:
                raise ProcessError(f"ended with code {process.returncode}: {last_lines(log)}")
            if time.monotonic() > deadline:
                raise ProcessError(f"was not ready after {timeout_s:.0f} s: {last_lines(log)}")
            time.sleep(0.1)
        yield process
    finally:
        stop(process, mark)


def end_on_sigterm() -> None:
    """Let a SIGTERM end this process as an exception does, so that what it started is stopped."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


def run_to_end(command: Sequence[str], environment: Mapping[str, str], log: Path, timeout_s: float) -> None:
    """Run a command to its end.

    Raises:
        ProcessError: it failed, or took longer than `timeout_s`.
    """
    with started(command, environment, log, ready=lambda: True) as process:
        try:
            code = process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise ProcessError(f"took more than {timeout_s:.0f} s: {last_lines(log)}") from None
        if code:
            raise ProcessError(f"ended with code {code}: {last_lines(log)}")


def stop(process: subprocess.Popen[bytes], mark: str) -> None:
    """Ask the process to end, then kill what is left of it and of its descendants."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(STOP_S)
    deadline = time.monotonic() + STOP_S
    while (left := descendants(mark)) and time.monotonic() < deadline:
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.1)
    process.wait(STOP_S)


def descendants(mark: str) -> list[int]:
    """Running processes whose environment has the mark."""
    entry = f"{MARK}={mark}".encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if entry in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
    return found


def last_lines(log: Path) -> str:
    """The end of what a process printed, on one line."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return " / ".join(lines[-LAST_LINES:]) or "it printed nothing"


def free_port() -> int:
    """A port of the loopback address that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
