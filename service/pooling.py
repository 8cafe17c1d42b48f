"""Which output of the encoder's graph an embedding is. Poolings are computed inside the graph; the manifest lists them."""

import numpy as np
from jaxtyping import Float32

from models.bundle import Manifest
from service.errors import UnsupportedOption


def output_name(manifest: Manifest, output: str, pooling: str) -> str:
    """The name of a graph's output.

    Raises:
        UnsupportedOption: a pooling that the bundle does not have.
    """
    if pooling not in manifest.poolings:
        raise UnsupportedOption(
            f"pooling {pooling!r} is not in model {manifest.id}, which has {', '.join(manifest.poolings)}", "pooling"
        )
    return "tokens" if output == "patches" else pooling


def normalise_rows(values: Float32[np.ndarray, "*n D"]) -> Float32[np.ndarray, "*n D"]:
    """Each vector with Euclidean length 1; a zero vector stays zero."""
    return values / np.maximum(np.linalg.norm(values, axis=-1, keepdims=True), 1e-12)
