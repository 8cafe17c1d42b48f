"""Features that need no network and no labels: k-means over small patches.

Coates, Lee and Ng, "An analysis of single-layer networks in unsupervised feature learning" (2011), with the soft-threshold
encoding of Coates and Ng, "Learning feature representations with k-means" (2012). The floor that counts for small pictures.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float32, UInt8
from sklearn.cluster import MiniBatchKMeans

from models.progress import progress

SIDE, CENTROIDS, THRESHOLD = 6, 400, 0.25
"""Pixels a side of a patch; how many centroids; what an activation must exceed."""
PICTURES, SAMPLED, CHUNK = 5_000, 200_000, 100
"""Pictures and patches that the centroids are found on; pictures encoded at once."""


def features(
    train: UInt8[np.ndarray, "n H W C"], test: UInt8[np.ndarray, "m H W C"]
) -> tuple[Float32[np.ndarray, "n D"], Float32[np.ndarray, "m D"]]:
    """Of each picture, the activations of every centroid and of its opposite, summed over the four quadrants."""
    rng = np.random.default_rng(0)
    few = rng.choice(len(train), min(len(train), PICTURES), replace=False)
    sample = np.concatenate([rng.permutation(_rows(train[i : i + 1]))[: SAMPLED // len(few) + 1] for i in few])
    mean, whiten = whitening(sample)
    sample = (sample - mean) @ whiten
    clusters = MiniBatchKMeans(min(CENTROIDS, len(sample)), batch_size=4096, n_init=1, random_state=0).fit(sample)
    centroids = clusters.cluster_centers_.astype(np.float32)
    centroids /= np.maximum(np.linalg.norm(centroids, axis=1, keepdims=True), 1e-6)
    dictionary = whiten @ centroids.T
    parts = []
    with progress(len(train) + len(test), "k-means features", "pictures") as bar:
        for part in (train, test):
            chunks = np.array_split(part, max(1, len(part) // CHUNK))
            parts.append(np.concatenate([_encode(chunk, mean, dictionary, bar.update) for chunk in chunks]))
    return parts[0], parts[1]


def patches_of(pictures: UInt8[np.ndarray, "b H W C"]) -> Float32[np.ndarray, "b rows columns P"]:
    """Every patch of some pictures, as one vector each, with mean 0 and contrast 1."""
    side = min(SIDE, *pictures.shape[1:3])
    windows = np.lib.stride_tricks.sliding_window_view(pictures, (side, side), axis=(1, 2))
    vectors = windows.reshape(*windows.shape[:3], -1).astype(np.float32)
    vectors -= vectors.mean(axis=-1, keepdims=True)
    return vectors / np.sqrt(vectors.var(axis=-1, keepdims=True) + 10)


def _rows(pictures: UInt8[np.ndarray, "b H W C"]) -> Float32[np.ndarray, "n P"]:
    patches = patches_of(pictures)
    return patches.reshape(-1, patches.shape[-1])


def whitening(
    patches: Float32[np.ndarray, "n P"],
) -> tuple[Float32[np.ndarray, " P"], Float32[np.ndarray, "P P"]]:
    """Mean, and the symmetric map (ZCA) after which the patches' numbers are nearly uncorrelated and of one size."""
    mean = patches.mean(axis=0)
    values, vectors = np.linalg.eigh(np.atleast_2d(np.cov(patches - mean, rowvar=False)))
    return mean, ((vectors / np.sqrt(values.clip(0) + 0.1)) @ vectors.T).astype(np.float32)


def _encode(
    pictures: UInt8[np.ndarray, "b H W C"],
    mean: Float32[np.ndarray, " P"],
    dictionary: Float32[np.ndarray, "P K"],
    done: Callable[[int], object],
) -> Float32[np.ndarray, "b D"]:
    active = (patches_of(pictures) - mean) @ dictionary
    quadrants = [part for half in np.array_split(active, 2, axis=1) for part in np.array_split(half, 2, axis=2)]
    done(len(pictures))
    return np.concatenate(
        [np.maximum(sign * part - THRESHOLD, 0).sum(axis=(1, 2)) for part in quadrants for sign in (1, -1)], axis=1
    )
