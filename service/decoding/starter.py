"""The server's end of the launcher: it is started when the first worker is wanted, and again when it ended."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable

from service.decoding.memory import ENVIRONMENT
from service.decoding.messages import MAX_MESSAGE, NUMBER, Rules
from service.errors import Draining, NotReady

START_SECONDS = 60.0
"""For how long a launcher may take to import what it needs."""

FIRST_WAIT, LONGEST_WAIT = 0.5, 30.0
"""Seconds that are waited after a start that failed; twice as long after each further one."""


class Starter:
    """Starts and ends the workers of a server. Safe from any thread."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._launcher: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._failures = 0
        self._next_start = 0.0
        self._closed = False

    def open(self) -> None:
        """Start the launcher, without waiting until it is ready. Otherwise the first worker does."""
        with self._lock:
            self._ensure_launcher()

    def start(self, rules: Rules, connection: socket.socket, memory: int) -> tuple[int, int]:
        """A worker that has the other end of `connection` and the file `memory`: the numbers of its launcher and its own.

        Raises:
            NotReady: it could not be started, or one could not be started just now.
            Draining: closed.
        """
        with self._lock:
            launcher = self._ensure_launcher()
            worker = self._ask(json.dumps(rules).encode(), [connection.fileno(), memory])
            if worker is None or worker <= 0:
                self._failed()
                reason = "the process that starts decoders ended" if worker is None else os.strerror(-worker)
                raise NotReady(f"a decoder could not be started: {reason}; try again")
            return launcher, worker

    def started(self, ready: bool) -> None:
        """Whether a worker was ready after its start. After several that were not, the next one has to wait."""
        with self._lock:
            if ready:
                self._failures = 0
            else:
                self._failed()

    def end(self, launcher: int, worker: int) -> int | None:
        """End a worker: its exit code, or the negative number of the signal that ended it. None where it ended with its launcher."""
        with self._lock:
            if self._launcher is None or self._launcher.pid != launcher:
                return None
            return self._ask(json.dumps(worker).encode(), [])

    @property
    def closed(self) -> bool:
        """Whether workers end because the server does."""
        return self._closed

    def close(self) -> None:
        """End the launcher and all its workers, whatever they do. No more are started."""
        with self._lock:
            self._closed = True
            self._drop_launcher()

    def _ensure_launcher(self) -> int:
        if self._closed:
            raise Draining("the server is stopping")
        if self._now() < self._next_start:
            raise NotReady("a decoder could not be started; try again")
        if self._launcher is not None and self._launcher.poll() is None:
            return self._launcher.pid
        self._drop_launcher()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.settimeout(START_SECONDS)
        with theirs:
            self._launcher = subprocess.Popen(  # noqa: S603 -- our own module
                [sys.executable, "-P", "-m", "service.decoding.launcher", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                env={**os.environ, **ENVIRONMENT, "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": _path()},
            )
        self._control = ours
        return self._launcher.pid

    def _ask(self, message: bytes, files: list[int]) -> int | None:
        """The launcher's answer; None where it ended."""
        assert self._control is not None
        try:
            socket.send_fds(self._control, [message], files)
            reply = self._control.recv(MAX_MESSAGE)
        except OSError:  # a TimeoutError is one
            reply = b""
        if len(reply) != NUMBER.size:
            self._drop_launcher()
            return None
        (value,) = NUMBER.unpack(reply)
        return int(value)

    def _failed(self) -> None:
        self._next_start = self._now() + min(LONGEST_WAIT, FIRST_WAIT * 2**self._failures)
        self._failures += 1

    def _drop_launcher(self) -> None:
        """Its workers end with it: the kernel sees to that."""
        if self._control is not None:
            self._control.close()
            self._control = None
        if self._launcher is not None:
            with contextlib.suppress(ProcessLookupError):
                self._launcher.kill()
            self._launcher.wait()
            self._launcher = None


def _path() -> str:
    """Where this process finds its modules, for one that starts in a folder which may have others of the same names."""
    return os.pathsep.join(os.path.abspath(folder) for folder in sys.path)  # noqa: PTH100 -- "" is the current folder
