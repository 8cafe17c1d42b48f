"""SIGTERM and SIGINT: finish the step, save, stop."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


class Preempted(Exception):
    """The run was told to stop by SIGTERM, and saved first."""


@contextmanager
def stop_signals(on_signal: Callable[[], None] = lambda: None) -> Iterator[list[int]]:
    """A list that receives the number of a SIGTERM or SIGINT, so that the current step can end.

    A second Ctrl-C stops at once; SIGTERM may be repeated, as some launchers do. `on_signal` is called at the first, inside
    the signal handler: it should not use buffered streams.
    """
    received: list[int] = []

    def note(number: int, _: FrameType | None) -> None:
        if received and number == signal.SIGINT:
            raise KeyboardInterrupt
        if not received:
            on_signal()
        received.append(number)

    previous = {number: signal.signal(number, note) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield received
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
