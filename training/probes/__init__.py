"""Frozen evaluation: what can be read off features without changing the network that made them.

A probe takes features of a train and a test part and gives one `Score`. Whatever it has to choose, it chooses on a part of
train that it holds out; the test part is used once. `PROBES` is the table.
"""

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int64

from models.errors import DataError
from training.counted import Purpose, bits
from training.probes import knn, linear


class Split(NamedTuple):
    """Features and classes of the two parts. `train` and `test` map a pooling's name to `[n, D']`."""

    train: dict[str, Float32[np.ndarray, "n D"]]
    train_labels: Int64[np.ndarray, " n"]
    test: dict[str, Float32[np.ndarray, "m D"]]
    test_labels: Int64[np.ndarray, " m"]


class Score(NamedTuple):
    """Share of the test part that was told right, with its 95 % interval (Wilson) and what the probe chose."""

    accuracy: float
    low: float
    high: float
    chosen: str


Predict = Callable[..., np.ndarray]
"""From features and classes of train, and features of test, to classes of test."""

PROBES: dict[str, Mapping[str, Predict]] = {"linear": linear.VARIANTS, "knn": knn.VARIANTS}
"""The variants to choose among, each a way to predict the classes of the test part."""

HELD_OUT = 6
"""One picture in so many of train chooses the variant."""


def run_probe(method: str, pooling: str, split: Split) -> Score:
    """Choose a variant on a held-out part of train, fit it on all of train, score it once on test.

    Raises:
        DataError: fewer than two classes are left to fit on.
    """
    train, labels = split.train[pooling], split.train_labels
    hidden = bits(0, Purpose.ORDER, np.arange(len(labels))) % np.uint64(HELD_OUT) == 0
    if len(np.unique(labels[~hidden])) < 2:
        raise DataError("a probe needs at least two classes with several pictures each")
    variants = PROBES[method]
    chosen = next(iter(variants))
    if len(variants) > 1:
        held_out = {
            name: float((predict(train[~hidden], labels[~hidden], train[hidden]) == labels[hidden]).mean())
            for name, predict in variants.items()
        }
        chosen = max(held_out, key=held_out.__getitem__)
    guess = variants[chosen](train, labels, split.test[pooling])
    right = int((guess == split.test_labels).sum())
    return Score(right / len(guess), *wilson(right, len(guess)), chosen)


def wilson(right: int, total: int, z: float = 1.96) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927)."""
    share = right / total
    centre = (share + z * z / (2 * total)) / (1 + z * z / total)
    half = z * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total)) / (1 + z * z / total)
    return centre - half, centre + half
