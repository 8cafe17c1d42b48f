"""One sentence in place of the tables: is the network above its untrained self, and above the baselines?"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from models.bundle.results import ScoreRow, SwapRow

TRAINED, UNTRAINED, PRECISION, CHANCE = "trained, ", "untrained, ", "trained in ", "chance"
"""How the names of rows begin; a row that begins otherwise is of a baseline."""
RELATIONS = ("above", "not distinguishable from", "below")


class _Value(NamedTuple):
    """A measured share, its 95 % interval, and the features that it is of."""

    share: float
    low: float
    high: float
    features: str


class _Comparison(NamedTuple):
    """The network and something else by one measure."""

    measure: str
    network: _Value
    other: _Value

    @property
    def relation(self) -> str:
        """By the intervals: they must not overlap for one to be above the other."""
        if self.network.low > self.other.high:
            return "above"
        return "below" if self.network.high < self.other.low else "not distinguishable from"


def verdict(rows: Sequence[ScoreRow], swap: Sequence[SwapRow], measures: Mapping[str, str]) -> str:
    """The sentence. `measures` are the titles of the classifiers that decide, and their names in the sentence.

    Of each kind of features the best row is taken, so all have the same freedom to choose.
    """
    untrained, baselines = [], []
    for title, name in measures.items():
        of_classifier = [row for row in rows if row.probe == title]
        if mine := _best([row for row in of_classifier if row.features.startswith(TRAINED)]):
            if other := _best([row for row in of_classifier if row.features.startswith(UNTRAINED)]):
                untrained.append(_Comparison(name, mine, other))
            if other := _best([row for row in of_classifier if _is_baseline(row)]):
                baselines.append(_Comparison(name, mine, other))
    shares = {row.network: _Value(row.higher, row.low, row.high, row.network) for row in swap}
    if {"trained", "untrained"} <= shares.keys():
        untrained.append(_Comparison("mismatched blocks", shares["trained"], shares["untrained"]))
    clauses = [
        *_clauses(untrained, "its untrained self", named=False),
        *_clauses(baselines, "the best baseline", named=True),
    ]
    if not clauses:
        return "Verdict: none; nothing was measured that the network could be compared with."
    note = "" if baselines or not measures else "; baselines were not measured (--no-baselines)"
    return f"Verdict: {', '.join(clauses)}{note}."


def _best(rows: Sequence[ScoreRow]) -> _Value | None:
    if not rows:
        return None
    row = max(rows, key=lambda row: row.accuracy)
    return _Value(row.accuracy, row.low, row.high, row.features)


def _is_baseline(row: ScoreRow) -> bool:
    return row.features != CHANCE and not row.features.startswith((TRAINED, UNTRAINED, PRECISION))


def _clauses(comparisons: Sequence[_Comparison], other: str, *, named: bool) -> list[str]:
    """One clause for each relation that occurs, with the figures behind it."""
    clauses = []
    for relation in RELATIONS:
        figures = [_figures(each, named=named) for each in comparisons if each.relation == relation]
        if figures:
            clauses.append(f"{relation} {other} ({', '.join(figures)})")
    return clauses


def _figures(comparison: _Comparison, *, named: bool) -> str:
    numbers = f"{100 * comparison.network.share:.1f} vs {100 * comparison.other.share:.1f} %"
    return f"{comparison.measure} {numbers}" + (f" of {comparison.other.features}" if named else "")
