"""A real server as a process of its own, with the default limits: its log, its memory with that of its children, its metrics."""

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.hostile.client import HOST

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden" / "bundle"
ZOO = ROOT / "models" / "zoo" / "fashion-mnist-nano"
START_SECONDS = 120.0
STOP_SECONDS = 60.0
BAD_WORDS = (
    "Traceback (most recent call last)",
    "was never retrieved",
    "was never awaited",
    "Exception in callback",
    "Segmentation fault",
)
"""What a log may not have, whatever clients do."""


class Server:
    """A server that is ready."""

    def __init__(self, process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
        self.process, self.port, self._log = process, port, log

    @property
    def pid(self) -> int:
        """Of the process that listens."""
        return self.process.pid

    def log_text(self, start: int = 0) -> str:
        """What it has logged, from a byte on."""
        with self._log.open("rb") as file:
            file.seek(start)
            return file.read().decode("utf-8", "replace")

    def log_size(self) -> int:
        """Bytes."""
        return self._log.stat().st_size

    def metric(self, name: str, **labels: str) -> float:
        """The sum of the series of a metric that have these labels."""
        found = 0.0
        for line in self.get("/metrics")[1].decode().splitlines():
            series, _, value = line.rpartition(" ")
            match = re.fullmatch(r"(\w+)(?:\{(.*)\})?", series)
            if (
                match
                and match[1] == name
                and all(f'{key}="{text}"' in (match[2] or "") for key, text in labels.items())
            ):
                found += float(value)
        return found

    def get(self, path: str, seconds: float = 30.0) -> tuple[int, bytes]:
        """Status and body."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=seconds)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def problems(self, start: int = 0) -> list[str]:
        """What its log says that it may not say, from a byte on, and whether it answers."""
        text = self.log_text(start)
        found = [
            f"the log has {word!r}: {text[max(0, text.index(word) - 300) :][:3000]}"
            for word in BAD_WORDS
            if word in text
        ]
        if self.process.poll() is not None:
            found.append(f"the process ended with {self.process.returncode}: {text[-2000:]}")
        elif (status := self.get("/health")[0]) != 200:
            found.append(f"/health is {status}")
        return found

    def memory_table(self) -> str:
        """Megabytes of each of its processes."""
        found = []
        for pid in family(self.pid):
            command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()[-60:]
            found.append(f"{memory_of_one(pid) / 1e6:.0f} MB: {pid} {command}")
        return "\n".join(found)

    def idle_bytes(self, seconds: float = 20.0, below: float = 0.0) -> int:
        """Memory once it is idle: the least in some seconds, or the first that is below something."""
        until, least = time.monotonic() + seconds, memory_of(self.pid)
        while time.monotonic() < until and least > below:
            time.sleep(0.25)
            least = min(least, memory_of(self.pid))
        return least


@contextmanager
def running_server(
    bundle: Path, folder: Path, *arguments: str, descriptors: int = 0, **environment: str
) -> Iterator[Server]:
    """`ijepa serve` on a free port, killed at the end with all its children. Default settings, whatever the environment has.

    `descriptors`: what it may have open, where it is not what this process may.
    """
    inherited = {name: value for name, value in os.environ.items() if not name.upper().startswith("IJEPA_")}
    log = folder / f"server-{time.monotonic_ns()}.log"
    command = [
        sys.executable,
        "-P",
        "-m",
        "ijepa",
        "serve",
        "--bundle",
        str(bundle),
        "--host",
        HOST,
        "--port",
        "0",
        *arguments,
    ]
    if descriptors:
        command = ["sh", "-c", f'ulimit -n {descriptors}; exec "$@"', "sh", *command]
    with log.open("wb") as file:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            env={**inherited, "PYTHONPATH": str(ROOT), **environment},
            start_new_session=True,
        )
    try:
        yield Server(process, _port_when_ready(process, log), log)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                print(f"the server did not end within {STOP_SECONDS:.0f} s of SIGINT", file=sys.stderr)
        for pid in reversed([*family(process.pid), *group(process.pid)]):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()


def family(pid: int) -> list[int]:
    """A process and its descendants."""
    found = [pid] if Path(f"/proc/{pid}").exists() else []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = task.read_text().split()
        except OSError:
            continue
        for child in children:
            found += family(int(child))
    return found


def workers_of(pid: int) -> list[int]:
    """The processes that decode: those that the server's own children have started, or these where they start none."""
    children = [child for child in family(pid)[1:] if parent_of(child) == pid]
    return [worker for child in children for worker in family(child)[1:]] or children


def parent_of(pid: int) -> int:
    """Of a process; 0 where it has ended."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def group(pid: int) -> list[int]:
    """Processes that a server has left behind: they are in its session."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == pid and fields[0] != "Z":
            found.append(int(stat.parent.name))
    return found


def memory_of(pid: int) -> int:
    """Bytes of a process and its descendants in memory. What they share counts once, where the system tells."""
    return sum(map(memory_of_one, family(pid)))


def memory_of_one(pid: int) -> int:
    for file, field in ((f"/proc/{pid}/smaps_rollup", "Pss"), (f"/proc/{pid}/status", "VmRSS")):
        try:
            match = re.search(rf"^{field}:\s+(\d+) kB", Path(file).read_text(), re.MULTILINE)
        except OSError:
            continue
        if match:
            return 1024 * int(match[1])
    return 0


def _port_when_ready(process: "subprocess.Popen[bytes]", log: Path) -> int:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        text = log.read_text(errors="replace")
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with {process.returncode}: {text}")
        if match := re.search(rf"http://{re.escape(HOST)}:(\d+)\s", text):
            port = int(match[1])
            connection = http.client.HTTPConnection(HOST, port, timeout=10)
            try:
                connection.request("GET", "/health")
                response = connection.getresponse()
                body = response.read()
            except OSError:
                body, response = b"{}", None
            finally:
                connection.close()
            if response is not None and response.status == 200 and json.loads(body):
                return port
        time.sleep(0.05)
    raise RuntimeError(f"the server was not ready within {START_SECONDS:.0f} s: {log.read_text(errors='replace')}")
