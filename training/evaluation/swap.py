"""The mismatched-block probe: does the predictor know what belongs where?

A block of each image is replaced by the same place of another image. The rest of the image predicts the block; the prediction
should be nearer to the tokens of the block that belongs there than to those of the mismatched one. Both are encoded within the
same image, as `/v1/predict` encodes what is really there.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64, UInt8

from models.bundle.manifest import TargetBlocks
from models.bundle.results import SwapRow
from models.errors import ConfigError, DataError
from models.images.grid import block_shapes, rectangles
from models.images.sources.base import Source
from models.inference.prediction import Regions, predict_tokens
from models.progress import Progress, no_progress
from models.rng import Stream, uniforms
from training.evaluation.base import NetworkProbe, wilson
from training.evaluation.networks import Network
from training.evaluation.parts import read_pixels

APART = 30.0
"""Grey levels, on average over the block, by which a pair must differ to count as two different blocks."""
MAX_IMAGES = 1000


class Pairs(NamedTuple):
    """Of each image: the energy of its own block and of the mismatched one, and by how many grey levels the two differ."""

    own: Float64[np.ndarray, " n"]
    mismatched: Float64[np.ndarray, " n"]
    apart: Float64[np.ndarray, " n"]

    def summary(self, network: str) -> SwapRow:
        """The share of pairs in which the mismatched block has the higher energy, of those far apart and of all.

        Raises:
            DataError: no pair is far apart.
        """
        far = self.apart > APART
        if not far.any():
            raise DataError(f"no two blocks differ by more than {APART:g} grey levels: these images are all alike")
        higher = self.mismatched > self.own
        low, high = wilson(int(higher[far].sum()), int(far.sum()))
        return SwapRow(
            network=network,
            pairs=int(far.sum()),
            higher=float(higher[far].mean()),
            low=low,
            high=high,
            own_energy=float(self.own[far].mean()),
            mismatched_energy=float(self.mismatched[far].mean()),
            all_pairs=len(far),
            all_higher=float(higher.mean()),
        )


def measure(name: str, network: Network, source: Source, progress: Progress = no_progress) -> SwapRow:
    """The row of one network; see `mismatched_blocks`."""
    return mismatched_blocks(network, source, description=f"mismatched blocks, {name}", progress=progress).summary(name)


def mismatched_blocks(
    network: Network,
    source: Source,
    images: int = MAX_IMAGES,
    seed: int = 0,
    description: str = "mismatched blocks",
    progress: Progress = no_progress,
) -> Pairs:
    """Try it on that many images, spread over the source, each with another one of them as the donor.

    Raises:
        ConfigError: the network has no predictor.
        DataError: fewer than two images, or one that cannot be read.
    """
    if not network.predicts:
        raise ConfigError("this network has no predictor, so nothing can be predicted from the rest of an image")
    count = min(images, len(source))
    if count < 2:
        raise DataError("mismatched blocks need at least two images")
    indices = np.linspace(0, len(source) - 1, count).astype(np.int64)
    pixels = _read(network, source, indices, progress)
    u = uniforms(seed, Stream.SWAP, indices, n=4)
    donors = (np.arange(count) + 1 + np.floor(u[:, 0] * (count - 1)).astype(np.int64)) % count
    blocks = _blocks(network.config.encoder.grid, u[:, 1:])
    parts, batch = [], network.config.encoder.cpu_batch_size(64)
    with progress(count, description, "images") as stage:
        for start in range(0, count, batch):
            some = slice(start, start + batch)
            parts.append(_compare(network, pixels[some], pixels[donors[some]], blocks[some]))
            stage.update(len(pixels[some]))
    return Pairs(*(np.concatenate(values) for values in zip(*parts, strict=True)))


def _read(
    network: Network, source: Source, indices: Int64[np.ndarray, " n"], progress: Progress
) -> UInt8[np.ndarray, "n H W C"]:
    pixels = []
    with progress(len(indices), "reading images for mismatched blocks", "images") as stage:
        for index in indices:
            pixels.append(read_pixels(source, int(index), network.config.pixels))
            stage.update()
    return np.stack(pixels)


def _blocks(grid: tuple[int, int], u: Float64[np.ndarray, "n 3"]) -> Bool[np.ndarray, "n gh gw"]:
    """One block an image, of any of the shapes of the paper (appendix A.1)."""
    blocks = TargetBlocks()
    groups = block_shapes(grid, blocks.target_scale, blocks.target_aspect)
    shapes = np.array([shape for group in groups.values() for shape in group])
    chosen = shapes[(u[:, 0] * len(shapes)).astype(int)]
    return rectangles(grid, chosen[:, 0], chosen[:, 1], u[:, 1], u[:, 2])


def _compare(
    network: Network,
    pixels: UInt8[np.ndarray, "b H W C"],
    donors: UInt8[np.ndarray, "b H W C"],
    blocks: Bool[np.ndarray, "b gh gw"],
) -> Pairs:
    patch = network.config.encoder.patch_size
    inside = blocks.repeat(patch, axis=1).repeat(patch, axis=2)[..., None]
    swapped = np.where(inside, donors, pixels)
    regions = [Regions(np.flatnonzero(~block), [np.flatnonzero(block)]) for block in blocks.reshape(len(blocks), -1)]
    predicted = predict_tokens(network.graphs, pixels, regions, max_rows=len(pixels))
    own, mismatched = (_energies(network, predicted, images, regions) for images in (pixels, swapped))
    difference = np.abs(pixels.astype(np.float64) - donors) * inside
    return Pairs(own, mismatched, difference.sum(axis=(1, 2, 3)) / (inside.sum(axis=(1, 2, 3)) * pixels.shape[3]))


def _energies(
    network: Network, predicted: list[list[np.ndarray]], images: UInt8[np.ndarray, "b H W C"], regions: list[Regions]
) -> Float64[np.ndarray, " b"]:
    """How far the predicted block of each image is from what is encoded there."""
    tokens = network.graphs.encode(images, ["tokens"])["tokens"]
    compared = [
        network.space.compare(blocks[0], actual, region.targets[0])
        for blocks, actual, region in zip(predicted, tokens, regions, strict=True)
    ]
    return np.array([prediction.energy for prediction in compared], dtype=np.float64)


PROBE = NetworkProbe("does the predictor notice a block of another image (mismatched block)", measure)
