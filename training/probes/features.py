"""Pooled features of all pictures of a source, by a bundle's graph or by torch."""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float32

from models.bundle import ENCODER, Bundle
from models.config import ModelConfig
from models.graphs import EncoderGraph, poolings_of
from models.ijepa import IJEPA
from models.preprocess import PixelRecipe, to_pixels
from models.progress import progress
from models.session import Session
from training.data import Source

BATCH = 256

Features = dict[str, Float32[np.ndarray, "n D"]]


def of_bundle(bundle: Bundle, source: Source) -> Features:
    """What a server with this bundle would answer."""
    session, names = Session(bundle.path(ENCODER)), list(bundle.manifest.poolings)
    return _collect(lambda pixels: session.run(names, pixels=pixels), names, bundle.manifest.model.pixels, source)


def of_model(model: IJEPA, source: Source) -> Features:
    """What torch says of a checkpoint's target encoder."""
    graph, names = EncoderGraph(model.eval()), list(poolings_of(model.config.encoder))

    @torch.no_grad()
    def run(pixels: np.ndarray) -> list[np.ndarray]:
        return [pool.numpy() for pool in graph(torch.from_numpy(pixels))[1:]]

    return _collect(run, names, model.config.pixels, source)


def untrained(config: ModelConfig, seed: int) -> IJEPA:
    """The same network as it is before its first step: the floor that training has to leave."""
    torch.manual_seed(seed)
    return IJEPA(config)


def _collect(
    run: Callable[[np.ndarray], list[np.ndarray]], names: list[str], recipe: PixelRecipe, source: Source
) -> Features:
    parts: dict[str, list[np.ndarray]] = {name: [] for name in names}
    with progress(len(source), "features", "pictures") as bar:
        for start in range(0, len(source), BATCH):
            indices = range(start, min(start + BATCH, len(source)))
            pixels = np.stack([to_pixels(source.open(i), recipe) for i in indices])
            for name, values in zip(names, run(pixels), strict=True):
                parts[name].append(values)
            bar.update(len(indices))
    return {name: np.concatenate(values) for name, values in parts.items()}
