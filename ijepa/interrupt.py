"""Ctrl-C while the process is inside an import or a compilation, where Python notices it only afterwards."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

PATIENCE_SECONDS = 0.5
"""After which a program that was interrupted and still runs says that it will stop."""

_END = b"\0"


@contextmanager
def stop_notice(program: str) -> Iterator[None]:
    """While the block runs, a Ctrl-C that has no effect within `PATIENCE_SECONDS` is answered with one line.

    Where the block handles SIGINT itself, it says itself what happens.
    """
    if threading.current_thread() is not threading.main_thread():  # Python's signals belong to the main thread
        yield
        return
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    over = threading.Event()
    watcher = threading.Thread(target=_watch, args=(program, reader, over), name="stop-notice", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        signal.set_wakeup_fd(before)
        os.write(writer, _END)
        watcher.join()
        os.close(writer)
        os.close(reader)


def _watch(program: str, reader: int, over: threading.Event) -> None:
    """Read the numbers of the signals that arrive, each as one byte."""
    said = False
    while (received := os.read(reader, 1)) != _END:
        unhandled = signal.getsignal(signal.SIGINT) is signal.default_int_handler
        if received[0] == signal.SIGINT and unhandled and not said and not over.wait(PATIENCE_SECONDS):
            said = True
            sys.stderr.write(f"{program}: will stop as soon as what runs now can be interrupted\n")
