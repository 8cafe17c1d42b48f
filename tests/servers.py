"""`ijepa serve` as a process of its own, for tests over real connections."""

import http.client
import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

START_SECONDS = 60

GET = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
LARGE = b"GET /docs/assets/swagger-ui-bundle.js HTTP/1.1\r\nHost: localhost\r\n\r\n"
"""A response of more than a megabyte."""


class RunningServer(NamedTuple):
    """Its process, where it listens, and the file of its standard error."""

    process: subprocess.Popen
    host: str
    port: int
    log: Path

    @property
    def address(self) -> str:
        """Host and port."""
        return f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """Without a path."""
        return f"http://{self.address}"

    def said(self) -> str:
        """All of standard error, so far."""
        return self.log.read_text()

    def connect(self, timeout: float = 10) -> socket.socket:
        """A connection on which nothing was sent."""
        return socket.create_connection((self.host, self.port), timeout)

    def get(self, path: str) -> bytes:
        """The body of a response with status 200."""
        return urllib.request.urlopen(self.url + path, timeout=10).read()

    def metric(self, pattern: str) -> float:
        """The value of one."""
        return float(re.search(pattern + r" ([0-9.]+)", self.get("/metrics").decode()).group(1))

    def wait_until_ready(self) -> None:
        """Until the model was checked."""
        until = time.monotonic() + START_SECONDS
        while True:
            try:
                self.get("/health")
            except OSError:
                assert time.monotonic() < until, self.said()
                time.sleep(0.02)
            else:
                return


@contextmanager
def running_server(bundle, folder, *, ready=True, program=("-m", "ijepa"), descriptors=None, **settings):
    """A server of a bundle on a free port, with settings by their names. It is killed at the end, and must not have failed.

    It writes to a file in `folder`. `descriptors` is how many files it may open.
    """
    command = [sys.executable, *program, "serve", "--bundle", str(bundle), "--port", "0", "--runtime", "onnxruntime"]
    if descriptors is not None:
        command = ["sh", "-c", 'ulimit -n "$0" && exec "$@"', str(descriptors), *command]
    environment = {f"IJEPA_{name.upper()}": str(value) for name, value in {"threads": 1, **settings}.items()}
    log = folder / "log"
    with log.open("w") as file:
        process = subprocess.Popen(command, stderr=file, env={**os.environ, **environment})
    try:
        until = time.monotonic() + START_SECONDS
        while not (listens := re.search(r"listening on http://([^:\s]+):(\d+)\n", log.read_text())):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.005)
        server = RunningServer(process, listens[1], int(listens[2]), log)
        if ready:
            server.wait_until_ready()
        yield server
    finally:
        process.kill()
        process.wait()
    for failure in ("Traceback", "never retrieved", "Exception in"):
        assert failure not in server.said(), server.said()


class Response(NamedTuple):
    """What came over a connection, taken apart."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> str:
        """Of an error."""
        return json.loads(self.body)["error"]["code"]


def read_response(connection: socket.socket) -> Response:
    """The next response, and no byte more."""
    response = http.client.HTTPResponse(connection)
    response.fp = _Unbuffered(connection)  # type: ignore[assignment]
    response.begin()
    return Response(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())


def is_closed(connection: socket.socket, seconds: float = 10) -> bool:
    """Whether the other side closes, before it sends anything else."""
    connection.settimeout(seconds)
    try:
        return connection.recv(1) == b""
    except ConnectionError:
        return True
    except TimeoutError:
        return False


class _Unbuffered:
    """Reads bytes one by one, so that the next response stays where it is."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def readline(self, limit: int = 65537) -> bytes:
        line = b""
        while not line.endswith(b"\n") and len(line) < limit:
            byte = self._connection.recv(1)
            if not byte:
                break
            line += byte
        return line

    def read(self, size: int = -1) -> bytes:
        body = b""
        while size < 0 or len(body) < size:
            piece = self._connection.recv(65536 if size < 0 else size - len(body))
            if not piece:
                break
            body += piece
        return body

    def flush(self) -> None:
        pass

    def close(self) -> None:
        pass
