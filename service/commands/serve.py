"""Answer HTTP requests with one or more bundles.

Every option is also an environment variable: IJEPA_PORT, IJEPA_BUNDLE (several with commas), and those of docs/api.md.
"""

import argparse
import logging
import signal
import socket
import sys
import threading
from types import FrameType

import uvicorn

from models.errors import ConfigError
from models.published import restriction
from service.api.state import State
from service.app import create_app
from service.errors import Draining
from service.runtimes import RUNTIMES
from service.settings import Settings, read_settings

NOTICE_SECONDS = 1.0
"""For how long a server that was told to stop goes on listening, answering that it drains."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "--bundle", action="append", metavar="NAME|DIR", help="a bundled model or a folder; may be repeated"
    )
    parser.add_argument("--host", help="address to listen on (127.0.0.1)")
    parser.add_argument("--port", type=int, help="port to listen on (8000)")
    parser.add_argument("--runtime", help=f"auto, {', '.join(RUNTIMES)} (auto)")
    parser.add_argument("--precision", help="auto, float32, or another that the bundle has (auto)")


def run(args: argparse.Namespace) -> None:
    """Serve until told to stop."""
    bundle = tuple(args.bundle) if args.bundle else None
    settings = read_settings(
        bundle=bundle, host=args.host, port=args.port, runtime=args.runtime, precision=args.precision
    )
    listener = listen(settings)
    app = create_app(settings)
    logging.getLogger("service").setLevel(logging.INFO)
    for engine in app.state.service.engines.values():
        source = engine.manifest.source
        print(
            f"{engine.manifest.id}: trained on {source.trained_on}; licence {engine.manifest.licence}"
            f"{restriction(engine.manifest.licence)}; {engine.runtime.name}, {engine.runtime.precision}."
            " Another model: --bundle DIR",
            file=sys.stderr,
        )
    host, port = listener.getsockname()[:2]
    print(f"try it at / and /docs, stop it with Ctrl-C; listening on http://{host}:{port}", file=sys.stderr, flush=True)
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=settings.drain_seconds,
        server_header=False,
    )
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stopped)
    Server(config, app.state.service).run(sockets=[listener])


class Server(uvicorn.Server):
    """Uvicorn, which on SIGTERM first says for a moment that it is draining, so that a balancer sees it, and then stops listening."""

    def __init__(self, config: uvicorn.Config, state: State) -> None:
        super().__init__(config)
        self._state = state

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first SIGTERM waits; a second one, or Ctrl-C, does not."""
        told = isinstance(self._state.problem, Draining)
        self._state.drain()
        if sig == signal.SIGTERM and not told:
            threading.Timer(NOTICE_SECONDS, super().handle_exit, (sig, frame)).start()
        else:
            super().handle_exit(sig, frame)


def _stopped(_number: int, _frame: FrameType | None) -> None:
    """Uvicorn has drained by then and raises the signal once more; a server that was told to stop has done its work."""


def listen(settings: Settings) -> socket.socket:
    """A bound socket, before any model is loaded.

    Raises:
        ConfigError: the address cannot be had.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except (OSError, OverflowError) as error:
        raise ConfigError(
            f"cannot listen on {settings.host} port {settings.port}: {error}; try another --port"
        ) from error
    return listener
