"""Speed and accuracy of one way to run a bundle on this machine."""

import time
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, UInt8

from models.bundle.manifest import CONTEXT, PREDICTOR
from models.bundle.reader import Bundle
from models.inference.accuracy import centred_cosines
from models.inference.canonical import canonical_images
from models.runtimes.batches import BATCH_SIZES
from models.runtimes.networks import Runtime

N_IMAGES, MIN_IMAGES = 16, 4
"""On which accuracy is measured where the bundle does not record it: fewer for a network that is slow here."""
ACCURACY_SECONDS = 8.0
"""About how long the accuracy of one way may take."""
MAX_BATCH_SECONDS = 0.5
"""Longer batches are not tried: they make everybody wait and gain nothing."""
MIN_BATCH_SECONDS = 0.05
"""Shorter batches are not taken where longer ones are as fast: around every batch something is lost that is not timed here."""
MAX_TIMED_BATCH = 32
ENOUGH = 0.95
"""Share of the best speed that is enough for a smaller batch."""
REPEATS = 3

Features = dict[str, Float[np.ndarray, "n D"]]


class Speed(NamedTuple):
    """A small batch that is about as fast as any, and the images a second that it gives."""

    batch_size: int
    images_per_second: float


def time_batches(runtime: Runtime, bundle: Bundle) -> Speed:
    """Images a second of the encoder by batch size: the fastest of some runs each, since other programs only make it slower."""
    output, pixels = [bundle.manifest.default_pooling], images_of(bundle, MAX_TIMED_BATCH)
    speeds: dict[int, float] = {}
    for size in (size for size in BATCH_SIZES if size <= MAX_TIMED_BATCH and not size & (size - 1)):
        batch = pixels[:size]
        runtime.encode(batch, output)  # the first run of a shape prepares it
        seconds = []
        for _ in range(REPEATS):
            start = time.perf_counter()
            runtime.encode(batch, output)
            seconds.append(time.perf_counter() - start)
        speeds[size] = size / max(min(seconds), 1e-9)
        if 2 * min(seconds) > MAX_BATCH_SECONDS:
            break
    enough = [size for size, speed in speeds.items() if speed >= ENOUGH * max(speeds.values())]
    size = next((size for size in enough if size / speeds[size] >= MIN_BATCH_SECONDS), enough[-1])
    return Speed(size, speeds[size])


def features_of(runtime: Runtime, bundle: Bundle, count: int) -> Features:
    """The outputs for `count` generated images: poolings, and for the other two graphs the mean over their tokens.

    Whitened poolings are left out; see `ManifestDraft.canonical_poolings`.
    """
    parts: dict[str, list[np.ndarray]] = {}
    names, region = bundle.manifest.canonical_poolings("any but float32"), bundle.canonical()
    for pixels in _batches(images_of(bundle, count), 4):
        found = runtime.encode(pixels, names)
        if bundle.manifest.predicts:
            context_ids, target_ids = (
                np.repeat(region[name][None], len(pixels), axis=0) for name in ("context_ids", "target_ids")
            )
            context = runtime.encode_context(pixels, context_ids)
            predicted = runtime.predict(context, context_ids, target_ids)
            found |= {CONTEXT: context.mean(axis=1), PREDICTOR: predicted.mean(axis=1)}
        for name, values in found.items():
            parts.setdefault(name, []).append(values)
    return {name: np.concatenate(values) for name, values in parts.items()}


def images_for_accuracy(images_per_second: float) -> int:
    """How many images the accuracy is measured on, at a speed of float32."""
    return int(min(N_IMAGES, max(MIN_IMAGES, ACCURACY_SECONDS * images_per_second / 2)))


def lowest_cosines(exact: Features, other: Features) -> dict[str, float]:
    """The lowest mean-centred cosine of any image, by output; 0 where an output is not a number."""
    return {name: float(np.nan_to_num(centred_cosines(exact[name], other[name])).min()) for name in exact}


def images_of(bundle: Bundle, count: int) -> UInt8[np.ndarray, "n H W C"]:
    """Generated images for a bundle's network."""
    preprocessing = bundle.manifest.model.pixels
    return canonical_images(count, *preprocessing.size, preprocessing.channels)


def _batches(pixels: UInt8[np.ndarray, "n H W C"], size: int) -> Iterator[UInt8[np.ndarray, "b H W C"]]:
    for start in range(0, len(pixels), size):
        yield pixels[start : start + size]
