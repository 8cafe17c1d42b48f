"""Progress of long work, as a callback: library functions report, commands decide what to draw (`models.terminal`)."""

from contextlib import AbstractContextManager, nullcontext
from typing import Protocol, runtime_checkable


@runtime_checkable
class Stage(Protocol):
    """A part of the work that has a known total."""

    def update(self, n: int = 1) -> object:
        """`n` more are done."""
        ...

    def note(self, text: str) -> object:
        """Say something beside the count: a loss, for example."""
        ...


@runtime_checkable
class Progress(Protocol):
    """Called once for each stage; the stage is open for as long as the context is."""

    def __call__(self, total: int, description: str, unit: str, initial: int = 0) -> AbstractContextManager[Stage]:
        """A stage that counts `unit`s from `initial` to `total`."""
        ...


class _Silent:
    def update(self, n: int = 1) -> None:
        pass

    def note(self, text: str) -> None:
        pass


def no_progress(total: int, description: str, unit: str, initial: int = 0) -> AbstractContextManager[Stage]:  # noqa: ARG001
    """Report nothing."""
    return nullcontext(_Silent())
