"""What a logger is."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class Logger(Protocol):
    """Takes rows of the columns it was made with."""

    def write(self, row: dict[str, float]) -> None: ...

    def close(self) -> None: ...


@runtime_checkable
class LoggerType(Protocol):
    """A line of the table: a class with its settings' class, made for a run's folder.

    Rows after `resume_step`, from which the run continues, are those of an interrupted attempt and are dropped.
    """

    settings: type[Any]

    def __call__(self, config: Any, folder: Path, resume_step: int, columns: Sequence[str]) -> Logger: ...
