"""Features of all images of two parts: every pooling of a network, and its whitened form."""

from collections.abc import Callable, Iterator
from functools import cache as memoised
from functools import partial
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32

from models.bundle.manifest import WHITENED
from models.export.whitening import fit_whitening, sample_indices
from models.images.sources.base import Source
from models.progress import Progress, no_progress
from training.evaluation.cache import Cache
from training.evaluation.networks import Network
from training.evaluation.parts import Parts, pixel_batches

Pair = tuple[Float32[np.ndarray, "n D"], Float32[np.ndarray, "m D"]]
"""Features of train and of test."""


class FeatureSet(NamedTuple):
    """Features under a name. `identity` stands for their content without computing them; `make` computes them."""

    name: str
    identity: str
    make: Callable[[], Pair]


def of_network(
    name: str, network: Network, parts: Parts, cache: Cache, progress: Progress = no_progress
) -> Iterator[FeatureSet]:
    """A set for each pooling and one for its whitened form. All poolings of a part are computed at once, and kept.

    A bundle exported with `--whiten` has the whitened forms itself; else they are fitted on the train part.
    """

    @memoised
    def encoded(part: int) -> dict[str, np.ndarray]:
        description = f"features of the {name} network, {Parts._fields[part]}"
        compute = partial(encode_all, network, parts[part], description, progress)
        return cache.arrays([network.identity, parts[part].digest()], compute)

    def pooled(pooling: str) -> Pair:
        return encoded(0)[pooling], encoded(1)[pooling]

    for pooling in network.poolings:
        own = FeatureSet(f"{name}, {pooling}", f"{network.identity} {pooling}", partial(pooled, pooling))
        yield own
        if not pooling.endswith(WHITENED) and pooling + WHITENED not in network.poolings:
            yield whitened(own, own.name + WHITENED, progress)


def whitened(features: FeatureSet, name: str, progress: Progress = no_progress) -> FeatureSet:
    """The same features, whitened as `ijepa export --whiten` does it, fitted on the train part."""

    def make() -> Pair:
        train, test = features.make()
        with progress(1, f"whitening {features.name}", "fits") as stage:
            whiten = fit_whitening(train[sample_indices(len(train))])
            stage.update()
        return whiten(train), whiten(test)

    return FeatureSet(name, f"{features.identity} whitened", make)


def encode_all(
    network: Network, source: Source, description: str = "features", progress: Progress = no_progress
) -> dict[str, np.ndarray]:
    """Every pooling of all images of a source, `[n, D']` by name."""
    batches: dict[str, list[np.ndarray]] = {name: [] for name in network.poolings}
    with progress(len(source), description, "images") as stage:
        for pixels in pixel_batches(source, network.config.pixels, network.config.encoder.cpu_batch_size(256)):
            for name, values in network.graphs.encode(pixels, network.poolings).items():
                batches[name].append(values)
            stage.update(len(pixels))
    return {name: np.concatenate(values) for name, values in batches.items()}
