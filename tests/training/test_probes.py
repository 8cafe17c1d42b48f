import numpy as np
import pytest

from models.errors import DataError
from training.probes import PROBES, Split, run_probe, wilson


def clouds(n, spread, seed):
    draw = np.random.default_rng(seed)
    labels = draw.integers(0, 3, n)
    return (draw.normal(size=(n, 8)) * spread + np.eye(3, 8)[labels] * 4).astype(np.float32), labels


@pytest.mark.parametrize("method", PROBES)
def test_a_probe_reads_what_is_there_and_nothing_that_is_not(method):
    train, labels = clouds(600, 1.0, 0)
    test, truth = clouds(300, 1.0, 1)
    noise = np.random.default_rng(2).normal(size=(600, 8)).astype(np.float32)

    told = run_probe(method, "mean", Split({"mean": train}, labels, {"mean": test}, truth))
    guessed = run_probe(method, "mean", Split({"mean": noise}, labels, {"mean": noise[:300]}, truth))

    assert told.accuracy > 0.95
    assert 0.2 < guessed.accuracy < 0.47


def test_the_variant_is_chosen_without_the_test_part(monkeypatch):
    """Two variants, one right about train and one about test: the first is taken, and scored."""
    train, labels = clouds(600, 1.0, 0)
    calls = []

    def honest(x, y, z):
        calls.append(len(z))
        return PROBES["knn"]["k=20"](x, y, z)

    def flattering(x, y, z):
        return truth if len(z) == 77 else np.zeros(len(z), dtype=np.int64)

    test, truth = clouds(77, 1.0, 1)
    monkeypatch.setitem(PROBES, "two", {"flattering": flattering, "honest": honest})
    score = run_probe("two", "mean", Split({"mean": train}, labels, {"mean": test}, truth))

    assert score.chosen == "honest"
    assert calls[-1] == 77
    assert calls.count(77) == 1


def test_one_class_is_refused():
    train, labels = clouds(60, 1.0, 0)
    with pytest.raises(DataError, match="at least two classes"):
        run_probe("linear", "mean", Split({"mean": train}, labels * 0, {"mean": train}, labels * 0))


def test_the_interval_is_wilsons():
    """Against the textbook value for 81 of 263."""
    low, high = wilson(81, 263)
    assert (round(low, 4), round(high, 4)) == (0.2553, 0.3662)
