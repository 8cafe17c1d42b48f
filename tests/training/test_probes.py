import numpy as np
import pytest

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

    told = run_probe(method, Split({"mean": train}, labels, {"mean": test}, truth))
    guessed = run_probe(method, Split({"mean": noise}, labels, {"mean": noise[:300]}, truth))

    assert told.accuracy > 0.95
    assert 0.2 < guessed.accuracy < 0.47


@pytest.mark.parametrize("method", PROBES)
def test_it_chooses_the_better_pooling_without_the_test_part(method):
    train, labels = clouds(600, 1.0, 0)
    noise = np.random.default_rng(2).normal(size=(600, 8)).astype(np.float32)
    split = Split({"mean": noise, "last4": train}, labels, {"mean": train[:300], "last4": noise[:300]}, labels[:300])

    assert run_probe(method, split).chosen.startswith("last4")


def test_the_interval_is_wilsons():
    """Against the textbook value for 81 of 263."""
    low, high = wilson(81, 263)
    assert (round(low, 4), round(high, 4)) == (0.2553, 0.3662)
