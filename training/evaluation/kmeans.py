"""Features that need no network and no labels: k-means over small patches.

Coates, Lee and Ng, "An analysis of single-layer networks in unsupervised feature learning" (2011), with the soft-threshold
encoding of Coates and Ng, "Learning feature representations with k-means" (2012). For small images the strongest of the baselines.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float32, UInt8
from sklearn.cluster import MiniBatchKMeans

from models.progress import Progress, no_progress

SIDE, CENTROIDS, THRESHOLD = 6, 400, 0.25
"""Pixels a side of a patch; how many centroids; what an activation must exceed."""
MAX_IMAGES, MAX_PATCHES, CHUNK = 5_000, 200_000, 100
"""Images and patches that the centroids are found on; images encoded at once."""


def features(
    train: UInt8[np.ndarray, "n H W C"], test: UInt8[np.ndarray, "m H W C"], progress: Progress = no_progress
) -> tuple[Float32[np.ndarray, "n D"], Float32[np.ndarray, "m D"]]:
    """Of each image, the activations of every centroid and of its opposite, summed over the four quadrants."""
    sample = _sample(train)
    mean, whiten = whitening(sample)
    sample = (sample - mean) @ whiten
    count = min(CENTROIDS, len(sample))
    with progress(1, f"k-means: {count} centroids of {len(sample):,} patches", "fits") as stage:
        clusters = MiniBatchKMeans(count, batch_size=4096, n_init=1, random_state=0).fit(sample)
        stage.update()
    centroids = clusters.cluster_centers_.astype(np.float32)
    centroids /= np.maximum(np.linalg.norm(centroids, axis=1, keepdims=True), 1e-6)
    dictionary = whiten @ centroids.T
    parts = []
    with progress(len(train) + len(test), "k-means features", "images") as stage:
        for part in (train, test):
            chunks = np.array_split(part, max(1, len(part) // CHUNK))
            parts.append(np.concatenate([_encode(chunk, mean, dictionary, stage.update) for chunk in chunks]))
    return parts[0], parts[1]


def _sample(train: UInt8[np.ndarray, "n H W C"]) -> Float32[np.ndarray, "k P"]:
    """Patches of some images, about `MAX_PATCHES`."""
    rng = np.random.default_rng(0)
    few = rng.choice(len(train), min(len(train), MAX_IMAGES), replace=False)
    each = MAX_PATCHES // len(few) + 1
    return np.concatenate([rng.permutation(_rows(train[i : i + 1]))[:each] for i in few])


def patches_of(images: UInt8[np.ndarray, "b H W C"]) -> Float32[np.ndarray, "b rows columns P"]:
    """Every patch of some images, as one vector each, with mean 0 and contrast 1."""
    side = min(SIDE, *images.shape[1:3])
    windows = np.lib.stride_tricks.sliding_window_view(images, (side, side), axis=(1, 2))
    vectors = windows.reshape(*windows.shape[:3], -1).astype(np.float32)
    vectors -= vectors.mean(axis=-1, keepdims=True)
    return vectors / np.sqrt(vectors.var(axis=-1, keepdims=True) + 10)


def _rows(images: UInt8[np.ndarray, "b H W C"]) -> Float32[np.ndarray, "n P"]:
    patches = patches_of(images)
    return patches.reshape(-1, patches.shape[-1])


def whitening(
    patches: Float32[np.ndarray, "n P"],
) -> tuple[Float32[np.ndarray, " P"], Float32[np.ndarray, "P P"]]:
    """Mean, and the symmetric map (ZCA) after which the pixels of patches are nearly uncorrelated and of one variance."""
    mean = patches.mean(axis=0)
    values, vectors = np.linalg.eigh(np.atleast_2d(np.cov(patches - mean, rowvar=False)))
    return mean, ((vectors / np.sqrt(values.clip(0) + 0.1)) @ vectors.T).astype(np.float32)


def _encode(
    images: UInt8[np.ndarray, "b H W C"],
    mean: Float32[np.ndarray, " P"],
    dictionary: Float32[np.ndarray, "P K"],
    done: Callable[[int], object],
) -> Float32[np.ndarray, "b D"]:
    active = (patches_of(images) - mean) @ dictionary
    quadrants = [part for half in np.array_split(active, 2, axis=1) for part in np.array_split(half, 2, axis=2)]
    done(len(images))
    return np.concatenate(
        [np.maximum(sign * part - THRESHOLD, 0).sum(axis=(1, 2)) for part in quadrants for sign in (1, -1)], axis=1
    )
