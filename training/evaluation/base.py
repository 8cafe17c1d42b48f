"""What a probe is, and how a score comes about: choose on held-out images of train, fit on all of train, score test once."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Int64

from models.bundle.results import SwapRow
from models.errors import DataError
from models.images.sources.base import Source
from models.progress import Progress
from models.rng import Stream, bits
from training.evaluation.networks import Network

HELD_OUT = 6
"""One image of train in this many makes the choice."""


class Split(NamedTuple):
    """Features and classes of the two parts."""

    train: Float32[np.ndarray, "n D"]
    train_labels: Int64[np.ndarray, " n"]
    test: Float32[np.ndarray, "m D"]
    test_labels: Int64[np.ndarray, " m"]


class Score(NamedTuple):
    """Accuracy on the test part (a share), its 95 % interval (Wilson), and the choice that was made, as text."""

    accuracy: float
    low: float
    high: float
    chosen: str


Predict = Callable[..., Iterable[np.ndarray]]
"""(train [n, D], train_labels [n], test [m, D], choices) -> for each choice, in order, the classes [m] of the test part."""


class Classifier(NamedTuple):
    """One column of the table of results. `choices` are the values that its one free parameter, `symbol`, may have.

    Classifiers with a `verdict` decide whether the features are above the baselines; it is their name in that sentence.
    """

    title: str
    predict: Predict
    symbol: str = ""
    choices: Sequence[float] = (0,)
    verdict: str = ""

    @property
    def fits(self) -> int:
        """How many sets of classes `run_probe` asks for."""
        return 1 if len(self.choices) == 1 else len(self.choices) + 1


class FeatureProbe(NamedTuple):
    """A member of `PROBES` that classifies frozen features; it needs classes. `summary` is its help text."""

    summary: str
    classifiers: tuple[Classifier, ...]


class NetworkProbe(NamedTuple):
    """A member of `PROBES` that questions the network itself on images of the test part; it needs no classes.

    `measure` takes a name for the row of `Results.swap`, the network, the images and a progress callback.
    """

    summary: str
    measure: Callable[[str, Network, Source, Progress], SwapRow]


def run_probe(classifier: Classifier, split: Split, fitted: Callable[[], object] = lambda: None) -> Score:
    """Score one classifier. `fitted` is called once for each of `Classifier.fits`.

    Raises:
        DataError: fewer than two classes are left to fit on.
    """

    def predict(train: np.ndarray, labels: np.ndarray, test: np.ndarray, choices: Sequence[float]) -> list[np.ndarray]:
        return list(_each(classifier.predict(train, labels, test, choices), fitted))

    train, labels = split.train, split.train_labels
    hidden = held_out(len(labels))
    if len(np.unique(labels[~hidden])) < 2 or not hidden.any():
        raise DataError(
            f"the train part has {len(labels)} images of {len(np.unique(labels))} classes; a probe needs at least two classes "
            "with several images each"
        )
    choice = classifier.choices[0]
    if len(classifier.choices) > 1:
        guesses = predict(train[~hidden], labels[~hidden], train[hidden], classifier.choices)
        choice = classifier.choices[int(np.argmax([(guess == labels[hidden]).mean() for guess in guesses]))]
    (guess,) = predict(train, labels, split.test, (choice,))
    return score(guess, split.test_labels, f"{classifier.symbol}={choice:g}" if len(classifier.choices) > 1 else "")


def chance(train_labels: Int64[np.ndarray, " n"], test_labels: Int64[np.ndarray, " m"]) -> Score:
    """The score of always answering the most frequent class of train."""
    most = np.bincount(train_labels).argmax()
    return score(np.full_like(test_labels, most), test_labels, "")


def held_out(images: int) -> Bool[np.ndarray, " n"]:
    """Which images of train make the choice: the same ones for every probe."""
    return bits(0, Stream.HELD_OUT, np.arange(images)) % np.uint64(HELD_OUT) == 0


def score(guess: Int64[np.ndarray, " m"], truth: Int64[np.ndarray, " m"], chosen: str) -> Score:
    """The share of right guesses, with its interval."""
    right = int((guess == truth).sum())
    return Score(right / len(guess), *wilson(right, len(guess)), chosen)


def wilson(right: int, total: int, z: float = 1.96) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927)."""
    share = right / total
    centre = (share + z * z / (2 * total)) / (1 + z * z / total)
    half = z * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total)) / (1 + z * z / total)
    return centre - half, centre + half


def _each(guesses: Iterable[np.ndarray], fitted: Callable[[], object]) -> Iterator[np.ndarray]:
    for guess in guesses:
        fitted()
        yield guess
