"""Sockets, signals and draining: uvicorn with what it lacks."""

import signal
import socket
import sys
import threading
from types import FrameType

import uvicorn
from fastapi import FastAPI

from models.errors import ConfigError
from service.registry import Registry
from service.settings import Settings

NOTICE_SECONDS = 1.0
"""For how long a server that was told to stop goes on listening, answering that it drains."""


BACKLOG = 2048
"""Connections that wait to be accepted."""


class Server(uvicorn.Server):
    """On SIGTERM it first says for a moment that it is draining, so that a balancer sees it, and then stops listening."""

    def __init__(self, config: uvicorn.Config, registry: Registry) -> None:
        super().__init__(config)
        self._registry = registry

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first SIGTERM waits; a second one, or Ctrl-C, does not."""
        told = self._registry.draining
        self._registry.drain()
        if sig == signal.SIGTERM and not told:
            threading.Timer(NOTICE_SECONDS, super().handle_exit, (sig, frame)).start()
        else:
            super().handle_exit(sig, frame)


def make_server(app: FastAPI, registry: Registry, settings: Settings) -> Server:
    """A server that answers signals from now on, before it runs and after: uvicorn takes them over only in between."""
    config = uvicorn.Config(
        app,
        loop="asyncio" if sys.platform == "win32" else "uvloop",
        http="httptools",
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=settings.drain_seconds,
        server_header=False,
    )
    server = Server(config, registry)
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
