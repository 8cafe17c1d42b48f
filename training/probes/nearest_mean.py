"""The class whose mean feature is nearest (Euclidean): the least that a classifier can do."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32, Int64


def predict(
    train: Float32[np.ndarray, "n D"],
    labels: Int64[np.ndarray, " n"],
    test: Float32[np.ndarray, "m D"],
    choices: Sequence[float],
) -> list[Int64[np.ndarray, " m"]]:
    """Classes of the test part; there is nothing to choose, so each choice gives the same."""
    classes = np.unique(labels)
    means = np.stack([train[labels == label].mean(axis=0) for label in classes])
    distances = np.square(means).sum(axis=1) - 2 * test @ means.T
    return [classes[distances.argmin(axis=1)]] * len(choices)
