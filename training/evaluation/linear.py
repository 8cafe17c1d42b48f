"""A linear classifier on standardised features: scikit-learn's logistic regression by L-BFGS."""

import warnings
from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Float32, Int64
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from training.evaluation.base import Classifier, FeatureProbe

STRENGTHS = (0.01, 0.1, 1.0, 10.0)
"""Inverse regularisation, scikit-learn's C."""
MAX_ITERATIONS, TOLERANCE = 600, 1e-3


def predict(
    train: Float32[np.ndarray, "n D"],
    labels: Int64[np.ndarray, " n"],
    test: Float32[np.ndarray, "m D"],
    choices: Sequence[float],
) -> Iterator[Int64[np.ndarray, " m"]]:
    """Classes of the test part for each C, each fitted from zero.

    A fit that continued from the one before would stop where it began: to a loose tolerance every step of C looks small.
    """
    scaler = StandardScaler().fit(train)
    train, test = scaler.transform(train), scaler.transform(test)
    for c in choices:
        yield _fit(train, labels, c).predict(test)


def _fit(train: Float32[np.ndarray, "n D"], labels: Int64[np.ndarray, " n"], c: float) -> LogisticRegression:
    """One fit. Of the solver's warnings about it, however many, one of ours remains, which names C."""
    model = LogisticRegression(C=c, max_iter=MAX_ITERATIONS, tol=TOLERANCE)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        model.fit(train, labels)
    for warning in caught:
        if not issubclass(warning.category, ConvergenceWarning):
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    if any(issubclass(warning.category, ConvergenceWarning) for warning in caught):
        text = f"logistic regression with C={c:g} did not converge in {MAX_ITERATIONS} iterations"
        warnings.warn(text, ConvergenceWarning, stacklevel=2)
    return model


PROBE = FeatureProbe("logistic regression", (Classifier("linear", predict, "C", STRENGTHS, verdict="linear"),))
