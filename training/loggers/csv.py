"""`log.csv`."""

import csv
import io
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from models.checkpoint.store import RUN_LOG
from models.errors import CheckpointError
from models.io import atomic_write, read_within
from training.families import MemberSettings

log = logging.getLogger(__name__)

MAX_LOG_BYTES = 256_000_000
"""Of `log.csv`: some two million rows."""
RENAMED = {"skill": "explained_variance"}
"""Columns that had another name in earlier versions."""


class CsvSettings(MemberSettings):
    """It has none."""

    name: Literal["csv"] = "csv"


class CsvLogger:
    """One line for each row, in `log.csv` of the run."""

    settings = CsvSettings

    def __init__(self, config: CsvSettings, folder: Path, resume_step: int, columns: Sequence[str]) -> None:  # noqa: ARG002
        path = folder / RUN_LOG
        text = io.StringIO(newline="")
        self._start(text, columns)
        self._writer.writeheader()
        self._writer.writerows(read_rows(path, resume_step))
        atomic_write(path, text.getvalue())
        self._file = path.open("a", newline="")
        self._start(self._file, columns)

    def _start(self, file: io.TextIOBase, columns: Sequence[str]) -> None:
        self._writer = csv.DictWriter(file, columns, extrasaction="ignore", lineterminator="\n")

    def write(self, row: dict[str, float]) -> None:
        """See `Logger.write`."""
        self._writer.writerow(
            {name: f"{value:.6g}" if isinstance(value, float) else value for name, value in row.items()}
        )
        self._file.flush()

    def close(self) -> None:
        """See `Logger.close`."""
        self._file.close()


def read_rows(path: Path, last_step: int) -> list[dict[str, str]]:
    """The rows of a log up to a step, under today's column names; none where there is no file.

    Rows that are damaged (not UTF-8, incomplete, not numeric) are left out with one warning.

    Raises:
        CheckpointError: a file of more than `MAX_LOG_BYTES`.
    """
    if not path.exists():
        return []
    try:
        text = read_within(path, MAX_LOG_BYTES).decode(errors="replace")
    except ValueError as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from error
    header, *lines = text.splitlines() or [""]
    names = [RENAMED.get(name, name) for name in header.split(",")]
    rows = [_row(names, line) for line in lines if line]
    if rows and not text.endswith("\n"):
        rows[-1] = None
    if damaged := rows.count(None):
        log.warning("%s: %d damaged rows are left out", path, damaged)
    return [row for row in rows if row is not None and int(row["step"]) <= last_step]


def _row(names: Sequence[str], line: str) -> dict[str, str] | None:
    """A line by the names of its columns; a value may be empty, in a log that got a column later. None where damaged."""
    values = line.split(",")
    row = dict(zip(names, values, strict=False))
    try:
        for value in filter(None, values):
            float(value)
        return row if len(values) == len(names) and int(row["step"]) >= 0 else None
    except (KeyError, ValueError):
        return None
