import pytest

from models.bundle.results import ScoreRow, SwapRow
from training.evaluation.base import wilson
from training.evaluation.verdict import verdict

MEASURES = {"k-NN, k=20": "k-NN", "linear": "linear"}


def row(features, accuracy, probe="k-NN, k=20", n=10_000):
    low, high = wilson(round(accuracy * n), n)
    return ScoreRow(features=features, dimensions=8, probe=probe, accuracy=accuracy, low=low, high=high, chosen="")


def swap(network, higher):
    low, high = wilson(round(higher * 1000), 1000)
    return SwapRow(
        network=network,
        pairs=1000,
        higher=higher,
        low=low,
        high=high,
        own_energy=1,
        mismatched_energy=2,
        all_pairs=1000,
        all_higher=higher,
    )


def test_the_best_row_of_each_kind_is_compared():
    rows = [
        row("chance", 0.9, probe="most frequent class"),
        row("raw pixels, 32x32", 0.3),
        row("k-means over their patches", 0.461),
        row("untrained, mean", 0.296),
        row("trained, mean", 0.4),
        row("trained, last4", 0.412),
        row("trained in int8, mean", 0.99),
    ]
    assert verdict(rows, [], MEASURES) == (
        "Verdict: above its untrained self (k-NN 41.2 vs 29.6 %), "
        "below the best baseline (k-NN 41.2 vs 46.1 % of k-means over their patches)."
    )


def test_intervals_that_overlap_tell_nothing_apart():
    rows = [row("untrained, mean", 0.5, n=40), row("trained, mean", 0.6, n=40), row("raw pixels, 9x9", 0.9, n=40)]
    assert verdict(rows, [], MEASURES).startswith(
        "Verdict: not distinguishable from its untrained self (k-NN 60.0 vs 50.0 %), below the best baseline"
    )


def test_measures_that_disagree_are_told_each():
    rows = [row("untrained, mean", 0.3), row("trained, mean", 0.4)]
    rows += [row("untrained, mean", 0.5, probe="linear"), row("trained, mean", 0.4, probe="linear")]
    assert verdict(rows, [swap("trained", 0.9), swap("untrained", 0.5)], MEASURES) == (
        "Verdict: above its untrained self (k-NN 40.0 vs 30.0 %, mismatched blocks 90.0 vs 50.0 %), "
        "below its untrained self (linear 40.0 vs 50.0 %); baselines were not measured (--no-baselines)."
    )


def test_mismatched_blocks_alone_are_a_verdict_too():
    assert verdict([], [swap("trained", 0.9), swap("untrained", 0.5)], {}) == (
        "Verdict: above its untrained self (mismatched blocks 90.0 vs 50.0 %)."
    )


@pytest.mark.parametrize("rows", [[], [row("trained, mean", 0.4)]])
def test_nothing_to_compare_with_is_said(rows):
    assert "nothing was measured" in verdict(rows, [], MEASURES)
