"""The canonical image, by which an exported network is checked wherever it runs."""

import numpy as np
from jaxtyping import UInt8

from models.bundle.reader import Bundle
from models.errors import BundleError
from models.runtimes.networks import Networks, Runtime


def canonical_image(height: int, width: int, channels: int) -> UInt8[np.ndarray, "H W C"]:
    """An image that is the same everywhere: a bright disc with a dark bar on a coloured slope."""
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    disc = (x - 0.45) ** 2 + (y - 0.5) ** 2 < 0.09
    bar = disc & (abs(y - 0.5) < 0.08)
    planes = [
        np.where(bar, 40, np.where(disc, 220 - 30 * c, 60 + 25 * c + 60 * (x if c % 2 else y))) for c in range(channels)
    ]
    return np.stack(planes, axis=-1).astype(np.uint8)


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
    allowed = manifest.tolerance[runtime.precision] * max(1.0, rms)
    for name, values in outputs.items():
        worst = float(np.abs(values - canonical[name]).max())
        if not worst <= allowed and runtime.exact:
            raise BundleError(
                f"{manifest.id}: {name} of the canonical image differs by {worst:.2e}, allowed is {allowed:.2e}, "
                f"on {runtime.name}"
            )
