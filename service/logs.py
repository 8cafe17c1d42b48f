"""The log of a server. Nothing waits for whoever reads it, and what repeats is written a few times and counted."""

import logging
import os
import sys
import threading
import time

MAX_BYTES = 4_000_000
"""Of lines that wait to be written; those that come then are counted."""
WRITE_EVERY_SECONDS = 0.05
"""Lines are collected for so long: under load a write has many."""
RETRY_SECONDS = 1.0
"""After a write that failed."""
FLUSH_SECONDS = 0.5
"""For how long the end of the program waits for the last lines."""
MAX_REPEATS = 10
"""Warnings and errors of one kind that are written in `REPEAT_SECONDS`."""
REPEAT_SECONDS = 60.0

FORMAT = "%(asctime)s %(levelname)s %(message)s"


def start_log() -> "LogWriter":
    """Everything that is logged goes to standard error: warnings, and what the server says of its requests."""
    writer = LogWriter(sys.stderr.fileno())
    writer.setFormatter(logging.Formatter(FORMAT))
    logging.basicConfig(level=logging.WARNING, handlers=[writer], force=True)
    logging.getLogger("service").setLevel(logging.INFO)
    return writer


class Repeats:
    """Counts records of a kind: of one place in the code, and where they have an exception of the place that raised it."""

    def __init__(self) -> None:
        self._kinds: dict[tuple[str | int, ...], tuple[float, int, int]] = {}

    def count(self, record: logging.LogRecord) -> int | None:
        """How many like it were left out before it; None if it is one of those that are."""
        kind, now = _kind(record), time.monotonic()
        since, written, left_out = self._kinds.get(kind, (now, 0, 0))
        if now - since >= REPEAT_SECONDS:
            since, written = now, 0
        if written < MAX_REPEATS:
            self._kinds[kind] = since, written + 1, 0
            return left_out
        self._kinds[kind] = since, written, left_out + 1
        return None


class LogWriter(logging.Handler):
    """Writes to a descriptor on a thread of its own, and waits for it nowhere else.

    Lines for which there is no room, because nobody reads, are counted: "N lines were not written" is said when there is.
    """

    def __init__(self, descriptor: int, max_bytes: int = MAX_BYTES) -> None:
        super().__init__()
        self._descriptor, self._max_bytes = descriptor, max_bytes
        self._repeats = Repeats()
        self._lines: list[bytes] = []
        self._waiting_bytes = self._lost = 0
        self._changed = threading.Condition()
        threading.Thread(target=self._loop, name="log", daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        left_out = self._repeats.count(record) if record.levelno >= logging.WARNING else 0
        if left_out is None:
            return
        try:
            text = self.format(record)
        except Exception as error:  # noqa: BLE001 -- a line that cannot be written must not end what it tells of
            text = f"{record.levelname} a line of {record.name} could not be written: {type(error).__name__}"
        if left_out:
            text += f"\n{left_out:,} more like this were not written"
        line = text.encode(errors="backslashreplace") + b"\n"
        with self._changed:
            if self._waiting_bytes + len(line) > self._max_bytes:
                self._lost += 1
                return
            self._lines.append(line)
            self._waiting_bytes += len(line)
            if len(self._lines) == 1:
                self._changed.notify_all()

    def flush(self) -> None:
        """Wait for what is not written yet, but not for long."""
        with self._changed:
            self._changed.wait_for(lambda: not self._waiting_bytes, FLUSH_SECONDS)

    def _loop(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._lines or self._lost)
            time.sleep(WRITE_EVERY_SECONDS)
            with self._changed:
                lines, self._lines = self._lines, []
                lost, self._lost = self._lost, 0
            if not self._write(b"".join(lines)):
                lost += len(lines)
            told = not lost or self._write(self._lost_line(lost))
            with self._changed:
                self._waiting_bytes -= sum(map(len, lines))
                self._lost += 0 if told else lost
                self._changed.notify_all()
            if not told:
                time.sleep(RETRY_SECONDS)

    def _lost_line(self, lost: int) -> bytes:
        message = "%d lines were not written: they came faster than they were read"
        record = logging.LogRecord(__name__, logging.WARNING, __file__, 0, message, (lost,), None)
        return self.format(record).encode() + b"\n"

    def _write(self, data: bytes) -> bool:
        """Whether all of it could be written. Waits as long as nobody reads."""
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[os.write(self._descriptor, rest) :]
            except BlockingIOError:  # someone who has the same descriptor made it so
                time.sleep(WRITE_EVERY_SECONDS)
            except OSError:
                return False
        return True


def _kind(record: logging.LogRecord) -> tuple[str | int, ...]:
    trace = record.exc_info[2] if record.exc_info else None
    if trace is None:
        return record.pathname, record.lineno
    while trace.tb_next is not None:
        trace = trace.tb_next
    return record.pathname, record.lineno, trace.tb_frame.f_code.co_filename, trace.tb_lineno
