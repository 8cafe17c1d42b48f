"""What probes read: features of all pictures of two parts, of a network or of what needs no network (the floors)."""

from collections.abc import Callable, Iterator
from functools import cache as memoised
from functools import partial
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, UInt8
from sklearn.decomposition import PCA

from models.bundle import WHITENED
from models.preprocess import PixelRecipe, to_pixels
from models.progress import progress
from models.whitening import drawn, fit_whitening
from training.data import Source
from training.probes import kmeans
from training.probes.cache import Cache
from training.probes.networks import Network

THUMBNAIL = 32
"""The longest side at which floors look at a picture."""
COMPONENTS = 128
"""Numbers that PCA keeps."""

Pair = tuple[Float32[np.ndarray, "n D"], Float32[np.ndarray, "m D"]]


class FeatureSet(NamedTuple):
    """Features under a name; `identity` tells their content without making them. `make` gives those of train and of test."""

    name: str
    identity: str
    make: Callable[[], Pair]


def of_network(name: str, network: Network, parts: tuple[Source, Source], cache: Cache) -> Iterator[FeatureSet]:
    """One set a pooling, and one of its whitened form. All poolings of a part are computed at once, and kept.

    A bundle exported with `--whiten` has the whitened forms itself; else they are fitted on the train part.
    """

    @memoised
    def encoded(part: int) -> dict[str, np.ndarray]:
        return cache.arrays([network.identity, parts[part].digest()], partial(encode_all, network, parts[part]))

    def pooled(pooling: str) -> Pair:
        return encoded(0)[pooling], encoded(1)[pooling]

    names = poolings(network)
    for pooling in names:
        own = FeatureSet(f"{name}, {pooling}", f"{network.identity} {pooling}", partial(pooled, pooling))
        yield own
        if not pooling.endswith(WHITENED) and pooling + WHITENED not in names:
            yield whitened(own, own.name + WHITENED)


def whitened(features: FeatureSet, name: str) -> FeatureSet:
    """The same, whitened as `ijepa export --whiten` does it, on the train part."""

    def make() -> Pair:
        train, test = features.make()
        whiten = fit_whitening(train[drawn(len(train))])
        return whiten(train), whiten(test)

    return FeatureSet(name, f"{features.identity} whitened", make)


def floors(parts: tuple[Source, Source], recipe: PixelRecipe) -> Iterator[FeatureSet]:
    """What any features have to beat: the pixels themselves, their principal components, k-means over patches; plain and whitened.

    The pictures are those that the network sees, but at most 32 pixels a side.
    """
    scale = min(1.0, THUMBNAIL / max(recipe.size))
    height, width = (max(1, round(side * scale)) for side in recipe.size)
    small = recipe.model_copy(update={"size": (height, width)})
    thumbnails: list[UInt8[np.ndarray, "n H W C"]] = []

    def pictures() -> list[UInt8[np.ndarray, "n H W C"]]:
        if not thumbnails:
            thumbnails.extend(_thumbnails(part, small) for part in parts)
        return thumbnails

    def pixels() -> Pair:
        train, test = (part.reshape(len(part), -1).astype(np.float32) / 255 for part in pictures())
        return train, test

    def components() -> Pair:
        train, test = pixels()
        pca = PCA(min(COMPONENTS, *train.shape), random_state=0).fit(train)
        return pca.transform(train), pca.transform(test)

    for name, make in (
        (f"raw pixels, {width}x{height}", pixels),
        ("their principal components", components),
        ("k-means over their patches", lambda: kmeans.features(*pictures())),
    ):
        features = FeatureSet(name, f"{name} {small.model_dump_json()}", memoised(make))
        yield from (features, whitened(features, f"{name}, whitened"))


def poolings(network: Network) -> list[str]:
    """The names of a network's poolings."""
    blank = np.zeros((1, *network.config.pixels.size, network.config.pixels.channels), dtype=np.uint8)
    return [name for name in network.encode(blank) if name != "tokens"]


def encode_all(network: Network, source: Source) -> dict[str, np.ndarray]:
    """Every pooling of all pictures of a source."""
    parts: dict[str, list[np.ndarray]] = {}
    with progress(len(source), "features", "pictures") as bar:
        for pixels in _batches(source, network.config.pixels, network.config.encoder.at_once(256)):
            for name, values in network.encode(pixels).items():
                if name != "tokens":
                    parts.setdefault(name, []).append(values)
            bar.update(len(pixels))
    return {name: np.concatenate(values) for name, values in parts.items()}


def _thumbnails(source: Source, recipe: PixelRecipe) -> UInt8[np.ndarray, "n H W C"]:
    return np.concatenate(list(_batches(source, recipe, 256)))


def _batches(source: Source, recipe: PixelRecipe, size: int) -> Iterator[UInt8[np.ndarray, "b H W C"]]:
    for start in range(0, len(source), size):
        yield np.stack([to_pixels(source.open(i), recipe) for i in range(start, min(start + size, len(source)))])
