"""A linear classifier on standardised features: scikit-learn's logistic regression by L-BFGS."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32, Int64
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler


def predict(
    train: Float32[np.ndarray, "n D"],
    labels: Int64[np.ndarray, " n"],
    test: Float32[np.ndarray, "m D"],
    choices: Sequence[float],
) -> list[Int64[np.ndarray, " m"]]:
    """Classes of the test part for each inverse regularisation (scikit-learn's C), each fitted from nothing.

    A fit that went on from the one before would stop where it began: to a loose tolerance every step of C looks small.
    """
    scaler = StandardScaler().fit(train)
    train, test = scaler.transform(train), scaler.transform(test)
    return [LogisticRegression(C=c, max_iter=600, tol=1e-3).fit(train, labels).predict(test) for c in choices]
