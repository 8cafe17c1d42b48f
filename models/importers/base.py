"""What an importer is, and what all of them share."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, NamedTuple

from torch import Tensor

PreprocessingChoice = Literal["trained", "upstream"]
"""The preprocessing of the training and evaluation, or that of the source's own image processor."""

EVALUATION: dict[str, Any] = {"crop": 224 / 256, "interpolation": "bicubic"}
"""Preprocessing of the published evaluation. Mean and standard deviation are ImageNet's, the defaults of `Preprocessing`."""


class ForeignWeights(NamedTuple):
    """What an importer found in a source.

    `parts` are tensors under our names, by part of the network. `preprocessing` has fields of `Preprocessing`. `heads`,
    `licence` and `settings` (of the training) are what the source states; `notes` are shown to the user.
    """

    name: str
    parts: dict[str, dict[str, Tensor]]
    preprocessing: dict[str, Any]
    heads: int | None = None
    norm_eps: float = 1e-6
    licence: str | None = None
    settings: Mapping[str, Any] = {}
    notes: tuple[str, ...] = ()


class Importer(NamedTuple):
    """A member of the family: what it reads in a few words, whether a source is one of its own, and how to read it.

    `read` raises ImporterError for a source that it cannot read, and HubError for one that it cannot fetch.
    """

    description: str
    accepts: Callable[[str], bool]
    read: Callable[[str, PreprocessingChoice], ForeignWeights]


def trusted_statistics(mean: object, std: object) -> dict[str, Any]:
    """Mean and standard deviation of an image processor, unless both are 0.5, the default of its class."""
    given = [value for value in (mean, std) if isinstance(value, list | tuple)]
    if len(given) < 2 or all(set(values) == {0.5} for values in given):
        return {}
    return {"mean": given[0], "std": given[1]}


def one_encoder(which: str) -> str:
    """The note on a source with a single encoder."""
    return f"the source has {which}; it becomes the target encoder"


def first_line(error: Exception) -> str:
    """The first line of a library's error."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def shorten(names: Iterable[str], limit: int = 5) -> str:
    """The first `limit` names, and how many more there are."""
    names = list(names)
    return ", ".join(names[:limit]) + (f" and {len(names) - limit} more" if len(names) > limit else "")
