"""Nearest neighbours by cosine, votes weighted by exp(similarity / 0.07): the field's usual setting, with k = 20."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32, Int64

from training.evaluation.base import Classifier, FeatureProbe

TEMPERATURE = 0.07
NEIGHBOURS = (1, 3, 5, 10, 20, 50, 100, 200)
MAX_SIMILARITIES = 2**25
"""About how many are held in memory at once."""


def predict(
    train: Float32[np.ndarray, "n D"],
    labels: Int64[np.ndarray, " n"],
    test: Float32[np.ndarray, "m D"],
    choices: Sequence[float],
) -> list[Int64[np.ndarray, " m"]]:
    """Classes of the test part for each k; the similarities are computed once for all of them."""
    bank, classes = _unit(train), int(labels.max()) + 1
    most = min(int(max(choices)), len(bank))
    guesses: list[list[np.ndarray]] = [[] for _ in choices]
    for chunk in np.array_split(_unit(test), max(1, -(-len(test) * len(bank) // MAX_SIMILARITIES))):
        similar = chunk @ bank.T
        nearest = np.argpartition(similar, len(bank) - most, axis=1)[:, len(bank) - most :]
        similar = np.take_along_axis(similar, nearest, axis=1)
        order = np.argsort(-similar, axis=1, kind="stable")
        weights = np.exp(np.take_along_axis(similar, order, axis=1) / TEMPERATURE)
        voters = labels[np.take_along_axis(nearest, order, axis=1)]
        for k, guess in zip(choices, guesses, strict=True):
            votes = np.zeros((len(chunk), classes))
            np.add.at(votes, (np.arange(len(chunk))[:, None], voters[:, : int(k)]), weights[:, : int(k)])
            guess.append(votes.argmax(axis=1))
    return [np.concatenate(guess) for guess in guesses]


def _unit(x: Float32[np.ndarray, "n D"]) -> Float32[np.ndarray, "n D"]:
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)


PROBE = FeatureProbe(
    "nearest neighbours, with 20 and with the best number of them",
    (
        Classifier("k-NN, k=20", predict, "k", (20,), verdict="k-NN"),
        Classifier("k-NN, best k", predict, "k", NEIGHBOURS),
    ),
)
