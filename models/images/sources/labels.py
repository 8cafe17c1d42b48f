"""Class numbers from what sources say of their images."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64

from models.images.sources.strings import Strings

MAX_CLASSES = 1_000_000
"""Different values that count as classes; more are captions or numbers of images."""


class Labels(NamedTuple):
    """One class number an image and the names of the classes; `numbers` is None where any image has no class."""

    numbers: Int64[np.ndarray, " n"] | None
    classes: tuple[str, ...]

    def take(self, kept: Int64[np.ndarray, " m"]) -> "Labels":
        """Those of some images."""
        return self if self.numbers is None else self._replace(numbers=self.numbers[kept])


NO_LABELS = Labels(None, ())


def labels_of_values(values: Iterable[int | str | None]) -> Labels:
    """Classes named by their values, in order: integers by size, then texts."""
    numbers: dict[int | str, int] = {}
    found: list[int] = []
    for value in values:
        if value is None or len(numbers) > MAX_CLASSES:
            return NO_LABELS
        found.append(numbers.setdefault(value, len(numbers)))
    if not found:
        return NO_LABELS
    ordered = sorted(numbers, key=lambda value: (isinstance(value, str), value))
    place = np.empty(len(numbers), dtype=np.int64)
    place[[numbers[value] for value in ordered]] = np.arange(len(numbers))
    return Labels(place[np.array(found, dtype=np.int64)], tuple(str(value) for value in ordered))


def labels_of_numbers(numbers: Int64[np.ndarray, " n"], names: Sequence[str]) -> Labels:
    """Numbers of named classes; negative ones, or those of no name, are images without a class."""
    if not len(numbers) or numbers.min() < 0 or (names and numbers.max() >= len(names)):
        return NO_LABELS
    if not names:
        return labels_of_values(int(number) for number in numbers)
    return Labels(numbers.astype(np.int64), tuple(names))


def labels_of_folders(paths: Strings) -> Labels:
    """The first folder of each path is its class; folders that all paths begin with do not count.

    Images beside those folders are of the class "".
    """
    common: list[str] | None = None
    for path in paths:
        folders = path.split("/")[:-1]
        if common is None:
            common = folders
        while common and folders[: len(common)] != common:
            common = common[:-1]
        if not common:
            break
    depth = len(common or [])
    labels = labels_of_values("/".join(path.split("/")[depth:-1][:1]) for path in paths)
    return labels if len(labels.classes) > 1 else Labels(None, labels.classes)


def label_value(value: object) -> int | str | None:
    """A label as sources write it: an integer or a text; None for anything else, and for what is empty."""
    if isinstance(value, bool) or value in ("", None):
        return None
    if isinstance(value, int | str):
        return value
    return int(value) if isinstance(value, float) and value.is_integer() else None
