"""What commands write to a terminal: text from files without its control characters, and progress bars.

A bar is redrawn on a terminal and is a line every few seconds elsewhere. Always on standard error.
"""

import logging
import sys
from typing import Any

from tqdm import tqdm

SECONDS_BETWEEN_LINES = 5.0
CURSOR_UP = "\x1b[A"
"""How a bar below another gets back to it."""


def printable(text: str) -> str:
    """A text with every character that a terminal would obey, or that nobody sees, as an escape; lines and tabs are kept.

    Names, licences and descriptions come from files of others: an escape sequence in them can rewrite what the terminal shows.
    """
    return "".join(c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in text)


class PrintableFormatter(logging.Formatter):
    """A log's lines as `printable` text."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        return printable(super().format(record))


class _Lines:
    """A stream on which each redrawn bar is a line of its own."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        """Pass on what would have been drawn over the last bar, if it holds anything but cursor movements."""
        if line := text.replace(CURSOR_UP, "").strip():
            self._stream.write(line + "\n")

    def flush(self) -> None:
        """Pass on."""
        self._stream.flush()


class _Bar(tqdm):  # type: ignore[misc]
    def note(self, text: str) -> None:
        """Text behind the count."""
        self.set_postfix_str(text, refresh=False)


def progress_bars(total: int, description: str, unit: str, initial: int = 0) -> _Bar:
    """A bar for a stage; see `models.progress.Progress`."""
    terminal = sys.stderr.isatty()
    return _Bar(
        total=total,
        initial=initial,
        desc=description,
        unit=f" {unit}",
        leave=None,  # a bar inside another goes when it is done
        file=sys.stderr if terminal else _Lines(sys.stderr),
        mininterval=0.2 if terminal else SECONDS_BETWEEN_LINES,
        dynamic_ncols=terminal,
        ncols=None if terminal else 110,
    )
