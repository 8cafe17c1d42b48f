"""How many connections a server may have, and for how long each may stay as it is."""

import asyncio
import math
from collections import Counter
from collections.abc import Callable
from enum import StrEnum
from typing import Any

from models.errors import ConfigError
from service.settings import Settings

MAX_CONNECTIONS = 4096
"""Where the setting names no other number: each may hold some kilobytes of a head."""
RESERVED_DESCRIPTORS = 128
"""Open files that are not connections: models, the log, decoding processes, and connections that are being closed."""


class State(StrEnum):
    """What a connection is doing."""

    HEAD = "head"
    """A new connection, or one on which a request has begun: its head has to come."""
    BUSY = "busy"
    """A request is being received or answered, which has its own limits."""
    SKIPPING = "body"
    """What is left of the body of an answered request is read, and thrown away."""
    IDLE = "idle"
    CLOSING = "closing"


class Connections:
    """What the connections of a server share: their limits, and which of them wait for a request to be complete.

    `closed` counts those that a limit closed: that of a state, of writing (`write`), or of their number (`room`); and requests that
    did not reach the app (`rejected`).

    Raises:
        ConfigError: more connections are wanted than this process may have.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.most = max_connections(settings.max_connections)
        self.draining = False
        self.open: set[Any] = set()
        self.waiting: dict[Any, None] = {}  # those that wait longest first
        self.closed: Counter[str] = Counter()
        self._seconds = {
            State.HEAD: settings.header_seconds,
            State.BUSY: math.inf,
            State.SKIPPING: settings.body_seconds,
            State.IDLE: settings.idle_seconds,
            State.CLOSING: settings.write_seconds,
        }

    def seconds(self, state: State, write_paused: bool) -> float:
        """How long a connection may stay as it is."""
        return self.settings.write_seconds if write_paused else self._seconds[state]


class Timer:
    """Calls `expired` when the seconds of its last start are over.

    To start it again costs next to nothing: what is due earlier than the new time looks again when it is.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, expired: Callable[[], None]) -> None:
        self._loop, self._expired = loop, expired
        self._due = math.inf
        self._handle: asyncio.TimerHandle | None = None

    def start(self, seconds: float) -> None:
        """From now on; never for infinity."""
        self._due = self._loop.time() + seconds
        if seconds != math.inf and (self._handle is None or self._handle.when() > self._due):
            self.cancel()
            self._handle = self._loop.call_at(self._due, self._look)

    def cancel(self) -> None:
        """At the end."""
        if self._handle is not None:
            self._handle.cancel()

    def _look(self) -> None:
        self._handle = None
        if self._loop.time() >= self._due - 0.001:  # loops count milliseconds
            self._expired()
        elif self._due != math.inf:
            self._handle = self._loop.call_at(self._due, self._look)


def max_connections(wanted: int) -> int:
    """So many connections as are wanted, or as the limit of open files allows where that is 0. The limit is raised as far as it may be.

    Raises:
        ConfigError: fewer are allowed than are wanted.
    """
    descriptors = _raise_descriptor_limit((wanted or MAX_CONNECTIONS) + RESERVED_DESCRIPTORS)
    allowed = max(descriptors - RESERVED_DESCRIPTORS, descriptors // 2)
    if wanted > allowed:
        raise ConfigError(
            f"setting max_connections is {wanted:,}; this process may open {descriptors:,} files, which leaves {allowed:,} for "
            "connections: raise the limit (ulimit -n) or lower the setting"
        )
    return wanted or min(allowed, MAX_CONNECTIONS)


def _raise_descriptor_limit(needed: int) -> int:
    """The limit of open files, after raising it to what is needed as far as the hard limit allows."""
    try:
        import resource
    except ImportError:  # Windows has none
        return needed
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = resource.RLIM_INFINITY
    if soft == unlimited or soft >= needed:
        return needed
    raised = needed if hard == unlimited else min(needed, hard)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
    except (OSError, ValueError):  # a system that allows less than it says
        return soft
    return raised
