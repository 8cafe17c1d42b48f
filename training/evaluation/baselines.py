"""Features that need no network. What a network has learned is what it has above them."""

from collections.abc import Callable, Iterator
from functools import cache as memoised
from functools import partial
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8
from sklearn.decomposition import PCA

from models.images.preprocess import Preprocessing
from models.progress import Progress, no_progress
from training.evaluation import kmeans
from training.evaluation.features import FeatureSet, Pair, whitened
from training.evaluation.parts import Parts, pixel_batches

THUMBNAIL = 32
"""The longest side, in pixels, at which baselines see an image."""
COMPONENTS = 128
"""Dimensions that PCA keeps."""


class Baseline(NamedTuple):
    """A row of the table of results. `name` may contain `{width}` and `{height}` of the images that it sees.

    `features` takes the small images of train and of test, uint8 `[n, H, W, C]`, and a progress callback.
    """

    name: str
    features: Callable[[np.ndarray, np.ndarray, Progress], Pair]


def raw_pixels(
    train: UInt8[np.ndarray, "n H W C"],
    test: UInt8[np.ndarray, "m H W C"],
    progress: Progress = no_progress,  # noqa: ARG001
) -> Pair:
    """The pixels themselves, 0 to 1."""
    first, second = (part.reshape(len(part), -1).astype(np.float32) / 255 for part in (train, test))
    return first, second


def principal_components(
    train: UInt8[np.ndarray, "n H W C"], test: UInt8[np.ndarray, "m H W C"], progress: Progress = no_progress
) -> Pair:
    """The first principal components of the pixels, fitted on train."""
    first, second = raw_pixels(train, test)
    with progress(1, "principal components of the pixels", "fits") as stage:
        pca = PCA(min(COMPONENTS, *first.shape), random_state=0).fit(first)
        stage.update()
    return pca.transform(first), pca.transform(second)


BASELINES: dict[str, Baseline] = {
    "pixels": Baseline("raw pixels, {width}x{height}", raw_pixels),
    "pca": Baseline("their principal components", principal_components),
    "kmeans": Baseline("k-means over their patches", kmeans.features),
}
"""In the order of the rows."""


def baseline_features(
    parts: Parts, preprocessing: Preprocessing, progress: Progress = no_progress
) -> Iterator[FeatureSet]:
    """Every baseline, plain and whitened, of what the network sees of an image, at most 32 pixels a side."""
    scale = min(1.0, THUMBNAIL / max(preprocessing.size))
    height, width = (max(1, round(side * scale)) for side in preprocessing.size)
    small = preprocessing.model_copy(update={"size": (height, width)})
    thumbnails = memoised(partial(_thumbnails, parts, small, progress))

    def make(baseline: Baseline) -> Pair:
        return baseline.features(*thumbnails(), progress)

    for baseline in BASELINES.values():
        name = baseline.name.format(width=width, height=height)
        features = FeatureSet(name, f"{name} {small.model_dump_json()}", memoised(partial(make, baseline)))
        yield from (features, whitened(features, f"{name}, whitened", progress))


def _thumbnails(
    parts: Parts, small: Preprocessing, progress: Progress
) -> tuple[UInt8[np.ndarray, "n H W C"], UInt8[np.ndarray, "m H W C"]]:
    both = []
    with progress(sum(map(len, parts)), "reading images for the baselines", "images") as stage:
        for part in parts:
            batches = []
            for pixels in pixel_batches(part, small, 256):
                batches.append(pixels)
                stage.update(len(pixels))
            both.append(np.concatenate(batches))
    return both[0], both[1]
