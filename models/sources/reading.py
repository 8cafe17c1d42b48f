"""What a reader of foreign weights gives, and what all readers share."""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from torch import Tensor

Preprocessing = Literal["trained", "upstream"]

EVALUATION: dict[str, Any] = {"crop": 224 / 256, "interpolation": "bicubic"}
"""Preprocessing of the published evaluation, with the statistics of the training: ImageNet's, which a recipe has by default."""


class Read(NamedTuple):
    """What a reader found: tensors by part, and what the source itself states; `settings` are those it was trained with."""

    name: str
    parts: dict[str, dict[str, Tensor]]
    pixels: dict[str, Any]
    heads: int | None = None
    norm_eps: float = 1e-6
    licence: str | None = None
    settings: Mapping[str, Any] = {}
    notes: tuple[str, ...] = ()


def believed(mean: object, std: object) -> dict[str, Any]:
    """Statistics of pixels, unless they are a class's default of 0.5, with which nothing was trained."""
    given = [value for value in (mean, std) if isinstance(value, list | tuple)]
    return (
        {} if len(given) < 2 or all(set(values) == {0.5} for values in given) else {"mean": given[0], "std": given[1]}
    )


def one_encoder(which: str) -> str:
    """What to tell of a source that does not have both."""
    return f"the source has {which}, which fills the target encoder"


def first_line(error: Exception) -> str:
    """An error of a library in one line."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def few(names: Any, most: int = 5) -> str:
    """The first of a list of names, and how many more there are."""
    names = list(names)
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
