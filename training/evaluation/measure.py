"""All kinds of features by all classifiers that are asked for: the rows of the table of results."""

import logging
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache as memoised
from functools import partial
from typing import Any

import numpy as np

from models.bundle.results import ScoreRow
from models.progress import Progress, no_progress
from training.evaluation.base import Classifier, Split, chance, run_probe
from training.evaluation.baselines import baseline_features
from training.evaluation.cache import Cache
from training.evaluation.features import FeatureSet, of_network
from training.evaluation.networks import Network, untrained
from training.evaluation.parts import Parts

log = logging.getLogger(__name__)


def measure(
    network: Network,
    classifiers: Sequence[Classifier],
    parts: Parts,
    cache: Cache,
    others: Mapping[str, Network],
    *,
    baselines: bool = True,
    progress: Progress = no_progress,
) -> Iterator[ScoreRow]:
    """Chance, then a row for each kind of features and each classifier: baselines, the network untrained, the network, `others`.

    `others` are the same network in other precisions, by name. What solvers warned of is logged once, at the end.

    Raises:
        DataError: fewer than two classes, or an image that cannot be read.
    """
    train, test = parts.train.labels, parts.test.labels
    assert train is not None
    assert test is not None
    yield ScoreRow(features="chance", probe="most frequent class", dimensions=0, **chance(train, test)._asdict())
    digests = []
    with progress(len(parts), "reading files to find earlier results", "parts") as stage:
        for part in parts:
            digests.append(part.digest())
            stage.update()
    sets = deque(  # taken one by one, so that none is held for longer than it is used
        [
            *(baseline_features(parts, network.config.pixels, progress) if baselines else ()),
            *of_network("untrained", untrained(network), parts, cache, progress),
            *of_network("trained", network, parts, cache, progress),
        ]
    )
    for name, other in others.items():
        sets.extend(of_network(f"trained in {name}", other, parts, cache, progress))
    warned: dict[str, list[str]] = {}
    with progress(len(sets) * len(classifiers), "probing", "scores") as stage:
        while sets:
            features = sets.popleft()
            split = memoised(partial(_split, features, train, test))
            for classifier in classifiers:
                stage.note(f"{features.name}: {classifier.title}")
                key = [features.identity, classifier.title, str(tuple(classifier.choices)), *digests]
                values = cache.values(key, partial(_score, features.name, split, classifier, progress))
                for message in values.pop("warnings"):
                    warned.setdefault(message, []).append(features.name)
                yield ScoreRow(features=features.name, probe=classifier.title, **values)
                stage.update()
    if warned:
        log.warning("%s", "; ".join(f"{text} on: {', '.join(dict.fromkeys(names))}" for text, names in warned.items()))


def _split(features: FeatureSet, train_labels: np.ndarray, test_labels: np.ndarray) -> Split:
    train, test = features.make()
    return Split(train, train_labels, test, test_labels)


def _score(name: str, split: Callable[[], Split], classifier: Classifier, progress: Progress) -> dict[str, Any]:
    with _solver_warnings() as messages:
        features = split()
        with progress(classifier.fits, f"{classifier.title} on {name}", "fits") as stage:
            scored = run_probe(classifier, features, stage.update)
    return {"dimensions": features.train.shape[1], **scored._asdict(), "warnings": list(dict.fromkeys(messages))}


@contextmanager
def _solver_warnings() -> Iterator[list[str]]:
    """What solvers warn of meanwhile, one line each, instead of on the terminal."""
    messages: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        for category in (UserWarning, RuntimeWarning):
            warnings.simplefilter("always", category)
        yield messages
    messages.extend(" ".join(str(warning.message).split()) for warning in caught)
