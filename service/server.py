"""Sockets, signals and draining: uvicorn with what it lacks."""

import asyncio
import functools
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType

import uvicorn
from fastapi import FastAPI

from models.errors import ConfigError
from service.connection_limits import Connections
from service.connections import Connection
from service.registry import Registry
from service.settings import Settings

log = logging.getLogger(__name__)

NOTICE_SECONDS = 1.0
"""For how long a server that was told to stop goes on listening, answering that it drains; a quarter of the drain at most."""

LAST_SECONDS = 1.0
"""Of the drain, for answers to what was not finished; a quarter at most."""

BACKLOG = 2048
"""Connections that wait to be accepted."""


class Server(uvicorn.Server):
    """On SIGTERM it first says for a moment that it is draining, so that a balancer sees it, and then stops listening.

    What was accepted is finished. Shortly before `drain_seconds` are over the rest is answered with 503, and when they are over the
    process ends, whatever it still computes.
    """

    def __init__(
        self, config: uvicorn.Config, registry: Registry, connections: Connections, drain_seconds: float
    ) -> None:
        super().__init__(config)
        self.server_state.connections = connections.open
        self._registry, self._connections, self._drain_seconds = registry, connections, drain_seconds
        self._until: float | None = None
        self.failure: str | None = None

    def fail(self, problem: str) -> None:
        """A model cannot be served: stop, with that as the reason. From any thread."""
        self.failure = problem
        self.should_exit = True

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first SIGTERM waits; a second one, or Ctrl-C, does not."""
        told = self._registry.draining
        self._registry.drain()
        self._connections.draining = True
        if self._until is None:
            self._until = time.monotonic() + self._drain_seconds
            _later(self._drain_seconds, self._end)
        if sig == signal.SIGTERM and not told:
            _later(min(NOTICE_SECONDS, self._drain_seconds / 4), super().handle_exit, sig, frame)
        else:
            super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop listening, finish what was accepted, answer what cannot be finished."""
        until = self._until or time.monotonic() + self._drain_seconds
        last = min(LAST_SECONDS, self._drain_seconds / 4)
        left = max(0.0, until - time.monotonic() - last)
        self.config.timeout_graceful_shutdown = left + last / 2  # type: ignore[assignment]
        cut = asyncio.get_running_loop().call_later(left, self._cut_off)
        await super().shutdown(sockets)
        cut.cancel()

    def _cut_off(self) -> None:
        """Every request that still runs is answered that the server stops; see `CatchErrors`."""
        tasks = list(self.server_state.tasks)
        if tasks:
            log.warning("%d requests were not finished in %g s, they are cut off", len(tasks), self._drain_seconds)
        for task in tasks:
            task.cancel()

    def _end(self) -> None:
        """The last resort: something that cannot be interrupted runs, and nobody waits for it any more."""
        log.warning(
            "the server had %g s to stop and still computes something; it ends without that", self._drain_seconds
        )
        logging.shutdown()
        os._exit(0)


def _later(seconds: float, function: Callable[..., None], *args: object) -> None:
    """Call it from a thread that does not keep the process alive."""
    timer = threading.Timer(seconds, function, args)
    timer.daemon = True
    timer.start()


def make_server(app: FastAPI, registry: Registry, settings: Settings) -> Server:
    """A server that answers signals from now on, before it runs and after: uvicorn takes them over only in between.

    Raises:
        ConfigError: see `Connections`.
    """
    connections = Connections(settings)
    app.state.service.telemetry.connections.set_function(lambda: len(connections.open))
    config = uvicorn.Config(
        app,
        loop="asyncio" if sys.platform == "win32" else "uvloop",
        http=functools.partial(Connection, connections),  # type: ignore[arg-type]
        ws="none",
        log_config=None,
        log_level="warning",
        access_log=False,
        proxy_headers=False,  # a client's connection is what it is told apart by, not what it says of itself
        server_header=False,
    )
    server = Server(config, registry, connections, settings.drain_seconds)
    registry.on_failure = server.fail
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, server.handle_exit)
    return server


def listen(settings: Settings) -> socket.socket:
    """A socket that listens, before any model is loaded.

    It names its protocol: asyncio turns off Nagle's algorithm only on connections of a socket that does, and with it on, every
    response but the first on a connection waits 40 ms for the client's delayed acknowledgement.

    Raises:
        ConfigError: the address cannot be had.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
        listener.listen(BACKLOG)
    except (OSError, OverflowError) as error:
        listener.close()
        raise ConfigError(
            f"cannot listen on {settings.host} port {settings.port}: {error}; try another --port"
        ) from error
    return listener


def address_of(listener: socket.socket) -> str:
    """The URL of a bound socket."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if listener.family == socket.AF_INET6 else f"http://{host}:{port}"
