"""A server of this installation as a process of its own, which ends with the block that uses it."""

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from models.bundle.reader import Bundle
from models.errors import ConfigError
from service.settings import Settings

HOST = "127.0.0.1"
START_SECONDS = 300.0
"""A large network is loaded, checked and warmed within minutes."""
STOP_SECONDS = 5.0
"""Then it is killed."""


class RunningServer(NamedTuple):
    """A server that is ready, and how it runs the model."""

    pid: int
    port: int
    runtime: str
    precision: str
    batch_size: int


@contextmanager
def running_server(bundle: Bundle, settings: Settings) -> Iterator[RunningServer]:
    """`ijepa serve` of one bundle on a free port of this machine, stopped at the end whatever happens.

    It has the environment of this process, and the same modules: whatever folder the command was started in.

    Raises:
        ConfigError: it ended before it was ready, its model failed, or it was not ready in `START_SECONDS`.
    """
    arguments = ["--bundle", str(bundle.folder.resolve()), "--host", HOST, "--port", "0"]
    arguments += ["--runtime", settings.runtime, "--precision", settings.precision]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        with log.open("w") as file:
            process = subprocess.Popen(  # noqa: S603 -- this program
                [sys.executable, "-P", "-m", "ijepa", "serve", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                env=environment,
            )
            try:
                yield _when_ready(process, log, bundle.manifest.id)
            finally:
                stop(process)


def stop(process: "subprocess.Popen[Any]", patience: float = STOP_SECONDS) -> None:
    """Interrupt a process, and kill it where that has no effect."""
    try:
        process.send_signal(signal.SIGINT if os.name == "posix" else signal.SIGTERM)
        process.wait(patience)
    except subprocess.TimeoutExpired:
        pass
    finally:
        process.kill()
        process.wait()


def cpu_seconds(pid: int) -> float | None:
    """CPU time of all threads of a process; None where the system does not tell it in /proc."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _when_ready(process: "subprocess.Popen[Any]", log: Path, model: str) -> RunningServer:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        if process.poll() is not None:
            raise ConfigError(f"the server ended before it was ready: {_last_line(log)}")
        if (port := _port(log)) and (description := _description(port, model)):
            if description["state"] == "failed":
                raise ConfigError(f"the server cannot use the model: {_last_line(log)}")
            if description["state"] == "ready":
                way = description["ways"][0]
                return RunningServer(process.pid, port, way["runtime"], way["precision"], description["batch_size"])
        time.sleep(0.05)
    raise ConfigError(f"the server was not ready within {START_SECONDS:.0f} s: {_last_line(log)}")


def _port(log: Path) -> int | None:
    """From the line that says where the server listens."""
    match = re.search(rf"http://{re.escape(HOST)}:(\d+)\s", log.read_text())
    return int(match[1]) if match else None


def _description(port: int, model: str) -> dict[str, Any] | None:
    """`/v1/models/{id}`; None where the server does not answer yet."""
    connection = http.client.HTTPConnection(HOST, port, timeout=10)
    try:
        connection.request("GET", f"/v1/models/{model}")
        response = connection.getresponse()
        return json.loads(response.read()) if response.status == 200 else None
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def _last_line(log: Path) -> str:
    lines = log.read_text().splitlines()
    return lines[-1] if lines else "it printed nothing"
