"""Classifiers, how they choose, and what their scores say."""

import warnings

import numpy as np
import pytest

from models.errors import DataError
from training.evaluation import knn, linear
from training.evaluation.base import Classifier, FeatureProbe, Split, chance, held_out, run_probe, wilson
from training.evaluation.table import PROBES

CLASSIFIERS = [each for probe in PROBES.values() if isinstance(probe, FeatureProbe) for each in probe.classifiers]
LINEAR = linear.PROBE.classifiers[0]


def clouds(n, spread, seed):
    draw = np.random.default_rng(seed)
    labels = draw.integers(0, 3, n)
    return (draw.normal(size=(n, 8)) * spread + np.eye(3, 8)[labels] * 4).astype(np.float32), labels


@pytest.mark.parametrize("classifier", CLASSIFIERS, ids=lambda each: each.title)
def test_a_classifier_reads_what_is_there_and_nothing_that_is_not(classifier):
    train, labels = clouds(600, 1.0, 0)
    test, truth = clouds(300, 1.0, 1)
    noise = np.random.default_rng(2).normal(size=(600, 8)).astype(np.float32)

    told = run_probe(classifier, Split(train, labels, test, truth))
    guessed = run_probe(classifier, Split(noise, labels, noise[:300], truth))

    assert told.accuracy > 0.95
    assert told.low < told.accuracy <= told.high + 1e-9
    assert 0.2 < guessed.accuracy < 0.47


@pytest.mark.parametrize("classifier", CLASSIFIERS, ids=lambda each: each.title)
def test_every_fit_is_reported(classifier):
    train, labels = clouds(200, 1.0, 0)
    fits = []
    run_probe(classifier, Split(train, labels, train, labels), lambda: fits.append(1))
    assert len(fits) == classifier.fits


def test_the_choice_is_made_without_the_test_part():
    """Two choices, one right about train and one about test: the first is taken, and scored."""
    train, labels = clouds(600, 1.0, 0)
    test, truth = clouds(77, 1.0, 1)
    calls = []

    def predict(x, y, z, choices):
        calls.append((len(z), tuple(choices)))
        flattering = truth if len(z) == 77 else np.zeros(len(z), dtype=np.int64)
        return [flattering if choice == 1 else knn.predict(x, y, z, (20,))[0] for choice in choices]

    score = run_probe(Classifier("two", predict, "x", (1, 2)), Split(train, labels, test, truth))

    assert score.chosen == "x=2"
    assert calls == [(held_out(600).sum(), (1, 2)), (77, (2,))]


def test_all_ks_at_once_are_each_k_alone():
    train, labels = clouds(300, 3.0, 0)
    test, _ = clouds(100, 3.0, 1)
    together = knn.predict(train, labels, test, (1, 7, 50))
    for k, guess in zip((1, 7, 50), together, strict=True):
        np.testing.assert_array_equal(guess, knn.predict(train, labels, test, (k,))[0])
    nearest = (train / np.linalg.norm(train, axis=1, keepdims=True)) @ test.T
    np.testing.assert_array_equal(together[0], labels[nearest.argmax(axis=0)])


def test_more_neighbours_than_images_are_all_images():
    train, labels = clouds(12, 1.0, 0)
    (guess,) = knn.predict(train, labels, train, (200,))
    assert guess.shape == (12,)


def test_one_class_is_an_error():
    train, labels = clouds(60, 1.0, 0)
    with pytest.raises(DataError, match="60 images of 1 classes; a probe needs at least two classes"):
        run_probe(LINEAR, Split(train, labels * 0, train, labels * 0))


def test_too_few_images_to_choose_on_are_an_error():
    train = np.eye(3, dtype=np.float32)
    with pytest.raises(DataError, match="several images each"):
        run_probe(LINEAR, Split(train, np.array([0, 1, 1]), train, np.array([0, 1, 1])))


def test_a_fit_that_does_not_converge_is_one_warning_that_names_c(monkeypatch):
    monkeypatch.setattr(linear, "MAX_ITERATIONS", 1)
    train, labels = clouds(100, 3.0, 0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        list(linear.predict(train, labels, train, (0.1, 10)))
    assert [str(warning.message) for warning in caught] == [
        f"logistic regression with C={c} did not converge in 1 iterations" for c in ("0.1", "10")
    ]


def test_chance_is_the_most_frequent_class_of_train():
    assert chance(np.array([0, 1, 1]), np.array([0, 0, 1, 0])).accuracy == 0.25


def test_the_interval_is_wilsons():
    """Against the textbook value for 81 of 263."""
    low, high = wilson(81, 263)
    assert (round(low, 4), round(high, 4)) == (0.2553, 0.3662)
