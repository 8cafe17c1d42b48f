"""Frozen evaluation: what can be read off features without changing the network that made them.

A probe takes features of a train and a test part and gives one `Score`. Whatever it has to choose, it chooses on a part of
train that it holds out; the test part is used once. `PROBES` is the table, by the name of the method that asks for them.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int64

from models.errors import DataError
from training.counted import Purpose, bits
from training.probes import knn, linear, nearest_mean


class Split(NamedTuple):
    """Features and classes of the two parts."""

    train: Float32[np.ndarray, "n D"]
    train_labels: Int64[np.ndarray, " n"]
    test: Float32[np.ndarray, "m D"]
    test_labels: Int64[np.ndarray, " m"]


class Score(NamedTuple):
    """Share of the test part that was told right, with its 95 % interval (Wilson) and what the probe chose."""

    accuracy: float
    low: float
    high: float
    chosen: str


Predict = Callable[..., list[np.ndarray]]
"""From features and classes of train, features of test, and choices: the classes of the test part under each choice."""


class Probe(NamedTuple):
    """A way to classify, and the values of its one free number, named `symbol`, that it may choose among."""

    title: str
    predict: Predict
    symbol: str
    choices: Sequence[float]


PROBES = {
    "nearest-mean": (Probe("nearest mean", nearest_mean.predict, "", (0,)),),
    "knn": (
        Probe("k-NN, k=20", knn.predict, "k", (20,)),
        Probe("k-NN, best k", knn.predict, "k", (1, 3, 5, 10, 20, 50, 100, 200)),
    ),
    "linear": (Probe("linear", linear.predict, "C", (0.01, 0.1, 1.0, 10.0)),),
}

HELD_OUT = 6
"""One picture in so many of train makes the choice."""


def run_probe(probe: Probe, split: Split) -> Score:
    """Choose on a held-out part of train, fit on all of train, score once on test.

    Raises:
        DataError: fewer than two classes are left to fit on.
    """
    train, labels = split.train, split.train_labels
    hidden = held_out(len(labels))
    if len(np.unique(labels[~hidden])) < 2 or not hidden.any():
        raise DataError("a probe needs at least two classes with several pictures each")
    choice = probe.choices[0]
    if len(probe.choices) > 1:
        guesses = probe.predict(train[~hidden], labels[~hidden], train[hidden], probe.choices)
        choice = probe.choices[int(np.argmax([(guess == labels[hidden]).mean() for guess in guesses]))]
    (guess,) = probe.predict(train, labels, split.test, (choice,))
    return score(guess, split.test_labels, f"{probe.symbol}={choice:g}" if len(probe.choices) > 1 else "")


def chance(train_labels: Int64[np.ndarray, " n"], test_labels: Int64[np.ndarray, " m"]) -> Score:
    """Always saying the class that train has most of."""
    most = np.bincount(train_labels).argmax()
    return score(np.full_like(test_labels, most), test_labels, "")


def held_out(pictures: int) -> np.ndarray:
    """Which pictures of train make the choice: the same for every probe."""
    return bits(0, Purpose.HELD_OUT, np.arange(pictures)) % np.uint64(HELD_OUT) == 0


def score(guess: Int64[np.ndarray, " m"], truth: Int64[np.ndarray, " m"], chosen: str) -> Score:
    """How often a guess is right."""
    right = int((guess == truth).sum())
    return Score(right / len(guess), *wilson(right, len(guess)), chosen)


def wilson(right: int, total: int, z: float = 1.96) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927)."""
    share = right / total
    centre = (share + z * z / (2 * total)) / (1 + z * z / total)
    half = z * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total)) / (1 + z * z / total)
    return centre - half, centre + half
