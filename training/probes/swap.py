"""Does the predictor know what belongs where? A block of each picture is replaced by the same place of another picture.

The rest of the picture predicts the block; the prediction should be nearer to the tokens of the block that belongs there than
to those of the foreign one. Both are encoded within the same picture, as `/v1/predict` encodes what is really there.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64, UInt8

from models.blocks import block_shapes, rectangles
from models.energy import PAPER, TARGET_EPS, layer_norm
from models.errors import ConfigError, DataError
from models.preprocess import to_pixels
from models.progress import progress
from models.results import SwapRow
from training.counted import Purpose, uniforms
from training.data import Source
from training.probes import wilson
from training.probes.networks import Network

APART = 30.0
"""Grey levels, on average over the block, by which a pair must differ to count as two different blocks."""


class Pairs(NamedTuple):
    """Of each picture: the energy of its own block and of the foreign one, and by how many grey levels the two differ."""

    own: Float64[np.ndarray, " n"]
    foreign: Float64[np.ndarray, " n"]
    apart: Float64[np.ndarray, " n"]

    def summary(self, network: str) -> SwapRow:
        """The share of pairs in which the foreign block has the higher energy, of those far apart and of all.

        Raises:
            DataError: no pair is far apart.
        """
        far = self.apart > APART
        if not far.any():
            raise DataError(f"no two blocks differ by more than {APART:g} grey levels: these pictures are all alike")
        higher = self.foreign > self.own
        low, high = wilson(int(higher[far].sum()), int(far.sum()))
        return SwapRow(
            network=network,
            pairs=int(far.sum()),
            higher=float(higher[far].mean()),
            low=low,
            high=high,
            own_energy=float(self.own[far].mean()),
            foreign_energy=float(self.foreign[far].mean()),
            all_pairs=len(far),
            all_higher=float(higher.mean()),
        )


def swapped_blocks(network: Network, source: Source, pictures: int = 1000, seed: int = 0) -> Pairs:
    """Try it on that many pictures, spread over the source, each with another one of them as the donor.

    Raises:
        ConfigError: the network has no predictor.
        DataError: fewer than two pictures.
    """
    if network.predict is None:
        raise ConfigError("this network has no predictor, so nothing can be predicted from the rest of a picture")
    count = min(pictures, len(source))
    if count < 2:
        raise DataError("swapping blocks needs at least two pictures")
    indices = np.linspace(0, len(source) - 1, count).astype(np.int64)
    pixels = np.stack([to_pixels(source.open(int(i)), network.config.pixels) for i in indices])
    u = uniforms(seed, Purpose.SWAP, indices, n=4)
    donors = (np.arange(count) + 1 + np.floor(u[:, 0] * (count - 1)).astype(np.int64)) % count
    blocks = _blocks(network.config.encoder.grid, u[:, 1:])
    parts, batch = [], network.config.encoder.at_once(64)
    with progress(count, "swapped blocks", "pictures") as bar:
        for start in range(0, count, batch):
            some = slice(start, start + batch)
            parts.append(_compare(network, pixels[some], pixels[donors[some]], blocks[some]))
            bar.update(len(pixels[some]))
    return Pairs(*(np.concatenate(values) for values in zip(*parts, strict=True)))


def _blocks(grid: tuple[int, int], u: Float64[np.ndarray, "n 3"]) -> Bool[np.ndarray, "n gh gw"]:
    """One block a picture, of any of the shapes that training hides."""
    groups = block_shapes(grid, PAPER["target_scale"], PAPER["target_aspect"])
    shapes = np.array([shape for group in groups.values() for shape in group])
    chosen = shapes[(u[:, 0] * len(shapes)).astype(int)]
    return rectangles(grid, chosen[:, 0], chosen[:, 1], u[:, 1], u[:, 2])


def _compare(
    network: Network,
    pixels: UInt8[np.ndarray, "b H W C"],
    donors: UInt8[np.ndarray, "b H W C"],
    blocks: Bool[np.ndarray, "b gh gw"],
) -> Pairs:
    assert network.predict is not None
    patch = network.config.encoder.patch_size
    inside = blocks.repeat(patch, axis=1).repeat(patch, axis=2)[..., None]
    swapped = np.where(inside, donors, pixels)
    flat = blocks.reshape(len(blocks), -1)
    context, targets = _padded(~flat), _padded(flat)
    predicted = network.predict(pixels, context, targets)
    own, foreign = (
        _energy(network, predicted, network.encode(picture)["tokens"], targets) for picture in (pixels, swapped)
    )
    difference = np.abs(pixels.astype(np.float64) - donors) * inside
    return Pairs(own, foreign, difference.sum(axis=(1, 2, 3)) / (inside.sum(axis=(1, 2, 3)) * pixels.shape[3]))


def _energy(
    network: Network, predicted: np.ndarray, tokens: np.ndarray, targets: Int64[np.ndarray, "b T"]
) -> Float64[np.ndarray, " b"]:
    """Mean distance of a block's predicted tokens from its layer-normed actual ones."""
    actual = layer_norm(np.take_along_axis(tokens, targets.clip(0)[..., None], axis=1), TARGET_EPS)
    return np.average(network.distance(predicted.astype(np.float64) - actual), axis=1, weights=targets >= 0)


def _padded(chosen: Bool[np.ndarray, "b N"]) -> Int64[np.ndarray, "b L"]:
    """The ids of the chosen patches of each row, ascending, filled up with -1."""
    longest = int(chosen.sum(axis=1).max())
    order = np.argsort(~chosen, axis=1, kind="stable")[:, :longest]
    return np.where(np.take_along_axis(chosen, order, axis=1), order, -1)
