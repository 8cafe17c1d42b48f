"""`log.csv`."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from models.checkpoint.store import RUN_LOG
from models.io import atomic_write
from training.families import MemberSettings

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
    """The rows of a log up to a step, under today's column names; none where there is no file."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        rows = [{RENAMED.get(name, name): value for name, value in row.items()} for row in csv.DictReader(file)]
    return [row for row in rows if row["step"] and int(row["step"]) <= last_step]
