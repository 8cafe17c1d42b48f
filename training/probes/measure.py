"""All kinds of features by all probes that are asked for: the rows of the table of results."""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from functools import cache as memoised
from functools import partial
from typing import Any

import numpy as np

from models.progress import progress
from models.results import ScoreRow
from training.data import Source
from training.probes import Probe, Split, chance, run_probe
from training.probes.cache import Cache
from training.probes.features import FeatureSet, floors, of_network
from training.probes.networks import Network, untrained

Parts = tuple[Source, Source]


def measure(
    network: Network, probes: list[Probe], parts: Parts, cache: Cache, others: Mapping[str, Network]
) -> Iterator[ScoreRow]:
    """Chance, then a row for each kind of features and each probe: the floors first, the network last, then in `others`.

    `others` are the same network in other precisions, by their names.

    Raises:
        DataError: fewer than two classes.
    """
    train, test = (part.labels for part in parts)
    assert train is not None
    assert test is not None
    yield ScoreRow(features="chance", probe="most frequent class", numbers=0, **chance(train, test)._asdict())
    digests = [part.digest() for part in parts]
    kinds = deque(  # taken one by one, so that none is held for longer than it is used
        [
            *floors(parts, network.config.pixels),
            *of_network("untrained", untrained(network), parts, cache),
            *of_network("trained", network, parts, cache),
            *(row for name, other in others.items() for row in of_network(f"trained in {name}", other, parts, cache)),
        ]
    )
    with progress(len(kinds) * len(probes), "probing", "scores") as bar:
        while kinds:
            features = kinds.popleft()
            split = memoised(partial(_split, features, train, test))
            for probe in probes:
                bar.set_postfix_str(f"{features.name}: {probe.title}")
                values = cache.values([features.identity, probe.title, *digests], partial(_score, split, probe))
                yield ScoreRow(features=features.name, probe=probe.title, **values)
                bar.update()


def _split(features: FeatureSet, train_labels: np.ndarray, test_labels: np.ndarray) -> Split:
    train, test = features.make()
    return Split(train, train_labels, test, test_labels)


def _score(split: Callable[[], Split], probe: Probe) -> dict[str, Any]:
    return {"numbers": split().train.shape[1], **run_probe(probe, split())._asdict()}
