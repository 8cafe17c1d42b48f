"""Masked prediction: regions to predicted tokens, actual tokens and energies.

The one place that does it: the route, energy maps, calibration, the mismatched-block probe and the Python interface use it.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float32, Int64, UInt8

from models.bundle.manifest import Calibration, Distance, Manifest
from models.errors import OptionError
from models.inference.batching import group_rows, pad_ids
from models.runtimes.networks import Networks

TARGET_EPS = 1e-5
"""Of the layer norm without weights that gives the targets of the training."""

MAX_ROWS = 8
"""Contexts, or target blocks, in a batch: on a CPU more gain nothing."""


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
    max_rows: int = MAX_ROWS,
) -> list[list[TargetPrediction]]:
    """Predict and compare the regions of each image (paper section 3; the energy is equation 1 for one block)."""
    tokens = networks.encode(pixels, ["tokens"])["tokens"]
    predicted = predict_tokens(networks, pixels, regions, max_rows)
    return [
        [space.compare(block, tokens[i], patches) for block, patches in zip(predicted[i], each.targets, strict=True)]
        for i, each in enumerate(regions)
    ]


def predict_tokens(
    networks: Networks, pixels: UInt8[np.ndarray, "B H W C"], regions: Sequence[Regions], max_rows: int = MAX_ROWS
) -> list[list[Float32[np.ndarray, "T D"]]]:
    """The predicted, layer-normed tokens of every region of each image; see `predict_blocks`."""
    blocks = predict_blocks(networks, pixels, range(len(regions)), regions, max_rows)
    predicted = {(block.row, block.target): block.tokens.copy() for block in blocks}
    return [[predicted[row, target] for target in range(len(each.targets))] for row, each in enumerate(regions)]


class PredictedBlock(NamedTuple):
    """The prediction of `regions[row].targets[target]`."""

    row: int
    target: int
    tokens: Float32[np.ndarray, "T D"]


def predict_blocks(
    networks: Networks,
    pixels: UInt8[np.ndarray, "B H W C"],
    images: Sequence[int],
    regions: Sequence[Regions],
    max_rows: int = MAX_ROWS,
) -> Iterator[PredictedBlock]:
    """The predicted, layer-normed tokens of every target, in the order in which they are computed.

    `regions[row]` are of image `images[row]`; an image may have many rows. Each context is encoded once, together with others
    of about its length, then the targets of these contexts are predicted, again in batches of about the same length. A batch
    has at most `max_rows` rows, and no more than one batch of contexts and one of targets is in memory.
    """
    for group in group_rows([len(each.context) for each in regions], max_rows):
        context_ids = pad_ids([regions[row].context for row in group])
        context_tokens = networks.encode_context(pixels[[images[row] for row in group]], context_ids)
        blocks = [(place, target) for place, row in enumerate(group) for target in range(len(regions[row].targets))]
        patches = [regions[group[place]].targets[target] for place, target in blocks]
        for batch in group_rows([len(ids) for ids in patches], max_rows, beside=context_ids.shape[1]):
            places = [blocks[i][0] for i in batch]
            target_ids = pad_ids([patches[i] for i in batch])
            predicted = networks.predict(context_tokens[places], context_ids[places], target_ids)
            for i, tokens in zip(batch, predicted, strict=True):
                place, target = blocks[i]
                yield PredictedBlock(group[place], target, tokens[: len(patches[i])])


def layer_norm(tokens: Float32[np.ndarray, "*n D"], eps: float) -> Float32[np.ndarray, "*n D"]:
    """Each token with mean 0 and variance 1: the space in which predictions are made."""
    centred = tokens - tokens.mean(axis=-1, keepdims=True)
    return centred / np.sqrt(np.square(centred).mean(axis=-1, keepdims=True) + eps)
