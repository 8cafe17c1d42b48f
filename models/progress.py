"""Progress of long work: a bar on a terminal, a line every few seconds elsewhere. Always on standard error."""

import sys
from typing import Any

from tqdm import tqdm

SECONDS_BETWEEN_LINES = 5.0
UP = "\x1b[A"
"""How a bar below another gets back to it."""


class _Lines:
    """A stream on which each redrawn bar is a line of its own."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        """Pass on what would have been drawn over the last bar, if there is anything in it but moves of the cursor."""
        if line := text.replace(UP, "").strip():
            self._stream.write(line + "\n")

    def flush(self) -> None:
        """Pass on."""
        self._stream.flush()


def progress(total: int, description: str, unit: str, initial: int = 0) -> "tqdm[Any]":
    """A bar to `update`; it counts `unit`s from `initial` to `total`."""
    terminal = sys.stderr.isatty()
    return tqdm(
        total=total,
        initial=initial,
        desc=description,
        unit=f" {unit}",
        file=sys.stderr if terminal else _Lines(sys.stderr),
        mininterval=0.2 if terminal else SECONDS_BETWEEN_LINES,
        dynamic_ncols=terminal,
        ncols=None if terminal else 110,
    )
