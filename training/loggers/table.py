"""The table of loggers."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from training.families import MemberSettings
from training.loggers.base import Logger, LoggerType
from training.loggers.csv import CsvLogger
from training.loggers.tensorboard import TensorBoardLogger

LOGGERS: dict[str, LoggerType] = {
    "csv": CsvLogger,
    "tensorboard": TensorBoardLogger,
}


@contextmanager
def open_loggers(
    settings: Sequence[MemberSettings], folder: Path, resume_step: int, columns: Sequence[str]
) -> Iterator[list[Logger]]:
    """The loggers of a run that continues from `resume_step`, closed at the end of the block."""
    with ExitStack() as stack:
        loggers = []
        for config in settings:
            loggers.append(LOGGERS[config.name](config, folder, resume_step, columns))
            stack.callback(loggers[-1].close)
        yield loggers
