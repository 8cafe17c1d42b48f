"""Masked prediction: regions to predicted tokens, actual tokens and energies.

The one place that does it: the route, energy maps, calibration, the mismatched-block probe and the Python interface use it.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float32, Int64, UInt8

from models.bundle.manifest import Calibration, Distance, Manifest
from models.errors import OptionError
from models.runtimes.networks import Networks

TARGET_EPS = 1e-5
"""Of the layer norm without weights that gives the targets of the training."""


class Regions(NamedTuple):
    """Which patches of one image may be seen, and which are predicted: each target on its own, from the same context."""

    context: Int64[np.ndarray, " K"]
    targets: Sequence[Int64[np.ndarray, " T"]]


class TargetSpace(NamedTuple):
    """How predicted and actual tokens are compared: the distance of the training, and the layer norm of its targets."""

    distance: Distance
    eps: float = TARGET_EPS
    calibration: Calibration | None = None

    @classmethod
    def of(cls, manifest: Manifest) -> "TargetSpace":
        """The space that a bundle was trained in."""
        return cls(manifest.distance, manifest.target_normalisation.eps, manifest.calibration)

    def compare(
        self,
        predicted: Float32[np.ndarray, "T D"],
        tokens: Float32[np.ndarray, "N D"],
        patches: Int64[np.ndarray, " T"],
    ) -> "TargetPrediction":
        """A region's predicted tokens against what the image's encoder tokens have there."""
        actual = layer_norm(tokens[patches], self.eps)
        energies = self.distance(predicted - actual)
        lengths = np.linalg.norm(predicted, axis=1) * np.linalg.norm(actual, axis=1)
        cosine = float(np.mean((predicted * actual).sum(axis=1) / np.maximum(lengths, 1e-12)))
        return TargetPrediction(patches, predicted, actual, energies, cosine, self.z(energies, patches))

    def z(self, energies: Float[np.ndarray, " T"], patches: Int64[np.ndarray, " T"]) -> Float[np.ndarray, " T"] | None:
        """Standard deviations by which energies are above what the calibration found usual there; None without one."""
        if self.calibration is None:
            return None
        mean, std = (np.asarray(table).reshape(-1)[patches] for table in (self.calibration.mean, self.calibration.std))
        return (energies - mean) / np.maximum(std, 1e-12)


class TargetPrediction(NamedTuple):
    """One region. `energy_per_patch` is the distance between predicted and actual tokens; `cosine` their mean cosine.

    `z_per_patch` is how many standard deviations the energy is above what the calibration found usual at that patch; None
    without a calibration.
    """

    patches: Int64[np.ndarray, " T"]
    predicted: Float32[np.ndarray, "T D"]
    actual: Float32[np.ndarray, "T D"]
    energy_per_patch: Float[np.ndarray, " T"]
    cosine: float
    z_per_patch: Float[np.ndarray, " T"] | None

    @property
    def energy(self) -> float:
        """The mean over the region's patches."""
        return float(self.energy_per_patch.mean())

    @property
    def z(self) -> float | None:
        """The mean over the region's patches; None without a calibration."""
        return None if self.z_per_patch is None else float(self.z_per_patch.mean())


def check_predicts(manifest: Manifest) -> None:
    """Raise where a bundle can only embed.

    Raises:
        OptionError
    """
    if not manifest.predicts:
        raise OptionError(f"model {manifest.id} has no predictor; it can only embed", "model")


def predict_regions(
    networks: Networks,
    space: TargetSpace,
    pixels: UInt8[np.ndarray, "B H W C"],
    regions: Sequence[Regions],
    max_rows: int = 32,
) -> list[list[TargetPrediction]]:
    """Predict and compare the regions of each image (paper section 3; the energy is equation 1 for one block)."""
    tokens = networks.encode(pixels, ["tokens"])["tokens"]
    predicted = predict_tokens(networks, pixels, regions, max_rows)
    return [
        [space.compare(block, tokens[i], patches) for block, patches in zip(predicted[i], each.targets, strict=True)]
        for i, each in enumerate(regions)
    ]


def predict_tokens(
    networks: Networks, pixels: UInt8[np.ndarray, "B H W C"], regions: Sequence[Regions], max_rows: int = 32
) -> list[list[Float32[np.ndarray, "T D"]]]:
    """The predicted, layer-normed tokens of every region of each image.

    Contexts of all images run in one pass, padded; then the target blocks of all images, padded, at most `max_rows` at once.
    """
    context_ids = pad_ids([each.context for each in regions])
    context_tokens = networks.encode_context(pixels, context_ids)
    rows = np.repeat(np.arange(len(regions)), [len(each.targets) for each in regions])
    blocks = [block for each in regions for block in each.targets]
    predicted: list[np.ndarray] = []
    for first in range(0, len(blocks), max_rows):
        part = slice(first, first + max_rows)
        ids = pad_ids(blocks[part])
        predicted += list(networks.predict(context_tokens[rows[part]], context_ids[rows[part]], ids))
    trimmed = iter([tokens[: len(block)].copy() for tokens, block in zip(predicted, blocks, strict=True)])
    return [[next(trimmed) for _ in each.targets] for each in regions]


def pad_ids(rows: Sequence[Int64[np.ndarray, " _"]]) -> Int64[np.ndarray, "R L"]:
    """Lists of patch ids as one array, filled up with -1."""
    assert rows, "there is nothing to pad"
    table = np.full((len(rows), max(map(len, rows))), -1, dtype=np.int64)
    for row, ids in zip(table, rows, strict=True):
        row[: len(ids)] = ids
    return table


def layer_norm(tokens: Float32[np.ndarray, "*n D"], eps: float) -> Float32[np.ndarray, "*n D"]:
    """Each token with mean 0 and variance 1: the space in which predictions are made."""
    centred = tokens - tokens.mean(axis=-1, keepdims=True)
    return centred / np.sqrt(np.square(centred).mean(axis=-1, keepdims=True) + eps)
