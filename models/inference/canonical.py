"""The canonical image, by which an exported network is checked wherever it runs."""

import numpy as np
from jaxtyping import UInt8

from models.bundle.reader import Bundle
from models.errors import BundleError
from models.runtimes.networks import Networks, Runtime

UNRECORDED_TOLERANCE = 0.25
"""Of a precision for which the bundle records none. bfloat16 differs by .02 to .04 (ViT-S/16); a wrong kernel by 1 or more."""


def canonical_image(height: int, width: int, channels: int) -> UInt8[np.ndarray, "H W C"]:
    """An image that is the same everywhere: a bright disc with a dark bar on a coloured slope."""
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    disc = (x - 0.45) ** 2 + (y - 0.5) ** 2 < 0.09
    bar = disc & (abs(y - 0.5) < 0.08)
    planes = [
        np.where(bar, 40, np.where(disc, 220 - 30 * c, 60 + 25 * c + 60 * (x if c % 2 else y))) for c in range(channels)
    ]
    return np.stack(planes, axis=-1).astype(np.uint8)


def canonical_images(count: int, height: int, width: int, channels: int) -> UInt8[np.ndarray, "n H W C"]:
    """Images that are the same everywhere and unlike each other: slopes, waves, discs, bars and noise, of many contrasts."""
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    return np.stack([_random_image(np.random.default_rng(seed), y, x, channels) for seed in range(count)])


def _random_image(
    random: np.random.Generator, y: np.ndarray, x: np.ndarray, channels: int
) -> UInt8[np.ndarray, "H W C"]:
    """A slope with two waves, three discs and noise; each channel has its own share of each."""
    angles, frequencies, phases = random.uniform(0, 2 * np.pi, 3), random.uniform(1, 12, 2), random.uniform(0, 6, 2)
    layers = [np.cos(angles[0]) * (x - 0.5) + np.sin(angles[0]) * (y - 0.5)]
    for angle, frequency, phase in zip(angles[1:], frequencies, phases, strict=True):
        layers.append(np.sin(2 * np.pi * frequency * (np.cos(angle) * x + np.sin(angle) * y) + phase) / 2)
    for row, column, radius in random.uniform((0, 0, 0.1), (1, 1, 0.4), (3, 3)):
        layers.append(((y - row) ** 2 + (x - column) ** 2 < radius**2).astype(float))
    layers.append(random.normal(size=x.shape) * random.uniform(0, 0.5))
    shares = random.normal(scale=random.uniform(15, 70), size=(len(layers), channels))
    image = random.uniform(60, 200, channels) + np.tensordot(np.stack(layers, -1), shares, 1)
    return image.clip(0, 255).astype(np.uint8)


def canonical_outputs(
    networks: Networks, canonical: dict[str, np.ndarray], poolings: list[str]
) -> dict[str, np.ndarray]:
    """What networks give for a bundle's canonical image and region: `tokens`, the poolings, and `predicted` where it has one."""
    pixels = canonical["pixels"][None]
    outputs = networks.encode(pixels, ["tokens", *poolings])
    if "predicted" in canonical:
        context_ids, target_ids = canonical["context_ids"][None], canonical["target_ids"][None]
        tokens = networks.encode_context(pixels, context_ids)
        outputs["predicted"] = networks.predict(tokens, context_ids, target_ids)
    return {name: values[0] for name, values in outputs.items()}


def check_canonical(runtime: Runtime, bundle: Bundle) -> None:
    """Compute the canonical image and compare.

    Raises:
        BundleError: the outputs are not those that the bundle was exported with.
        RuntimeFailure: the runtime cannot compute them.
    """
    canonical, manifest = bundle.canonical(), bundle.manifest
    outputs = canonical_outputs(runtime, canonical, manifest.canonical_poolings(runtime.precision))
    rms = float(np.sqrt(np.mean(np.square(canonical["tokens"]))))
    allowed = manifest.tolerance.get(runtime.precision, UNRECORDED_TOLERANCE) * max(1.0, rms)
    for name, values in outputs.items():
        worst = float(np.abs(values - canonical[name]).max())
        if not worst <= allowed and runtime.exact:
            raise BundleError(
                f"{manifest.id}: {name} of the canonical image differs by {worst:.2e}, allowed is {allowed:.2e}, "
                f"on {runtime.name}"
            )
