"""The manifest of a bundle. A bundle is a folder with an exported network:

manifest.json           the network, its provenance and accuracy, the sha256 of every other file; its own sha256 identifies the bundle
encoder.onnx            pixels -> tokens and poolings            (the target encoder)
context.onnx            pixels, context_ids -> context_tokens    (the context encoder)
predictor.onnx          context_tokens, context_ids, target_ids -> predicted
*.float16.onnx, *.int8.onnx   the same graphs in another precision, where exported; *.data: weights of a large graph
canonical.safetensors   one image and the expected outputs for it
MODEL_CARD.md
training_log.csv        the log of the last training run, where there is one
"""

from collections.abc import Callable
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from pydantic import ConfigDict, Field, model_serializer, model_validator

from models.bundle.fields import (
    MAX_FILES,
    Count,
    FileName,
    Graph,
    Id,
    Name,
    Positive,
    Ratio,
    Record,
    Scale,
    Sha256,
    Width,
)
from models.bundle.results import Results, rename_fields
from models.config import ModelConfig

FORMAT = 3
MANIFEST = "manifest.json"
ENCODER, CONTEXT, PREDICTOR = "encoder.onnx", "context.onnx", "predictor.onnx"
CANONICAL, CARD, TRAINING_LOG = "canonical.safetensors", "MODEL_CARD.md", "training_log.csv"
WHITENED = "-whitened"
"""Suffix of the name of a whitened pooling."""

StoredWeights = Literal["float32", "float16"]


class Provenance(Record):
    """The origin of the weights. `trained_on` completes "trained on ...".

    `steps` and `images_seen` are totals over all `runs` of the training, each started from the weights of the run before. They
    are None where the source does not state them, `runs` where it is unknown.
    """

    checkpoint_sha256: str
    recipe: str
    trained_on: str
    steps: Count | None
    images_seen: Count | None
    runs: Count | None = None


class Distance(Record):
    """The distance between predicted and actual tokens that the network was trained with."""

    name: Literal["smooth_l1", "l2"]
    beta: Positive = 1.0

    def __call__(self, difference: np.ndarray) -> np.ndarray:
        """Its value for each token: the mean over the last axis."""
        size = np.abs(difference)
        if self.name == "l2":
            return np.square(size).mean(axis=-1)
        return np.where(size < self.beta, size**2 / (2 * self.beta), size - self.beta / 2).mean(axis=-1)


class Parity(Record):
    """Max abs difference between ONNX Runtime and PyTorch, both in float32, and the RMS of the reference outputs."""

    max_difference: float
    reference_rms: float
    allowed: float


class Accuracy(Record):
    """Mean-centred cosine between a graph's features in another precision and in float32, of the pooling where it is lowest."""

    first_percentile: float
    mean: float


class Variant(Record):
    """A bundle in another precision: how close each graph is to float32, measured on `images` images of `measured_on`.

    `accuracy` is of each graph's worst output, `poolings` of each pooling (empty in bundles of older versions).
    `probe_difference` is the difference in linear-probe accuracy from float32 in percentage points, by pooling.
    """

    accuracy: Annotated[dict[Graph, Accuracy], Field(min_length=1)]
    poolings: dict[Name, Accuracy] = Field(default_factory=dict)
    images: Count
    measured_on: str
    probe_difference: dict[Name, float] = Field(default_factory=dict)

    @property
    def worst(self) -> float:
        """The lowest first percentile of its graphs."""
        return min(accuracy.first_percentile for accuracy in self.accuracy.values())


class ScaledDecoding(Record):
    """Features of `images` JPEGs decoded at a smaller scale, compared with those of the same decoded in full."""

    accuracy: Accuracy
    images: Count
    measured_on: str


class Calibration(Record):
    """Mean and standard deviation of the energy at each patch of the grid over `images` images, with `masks` draws each."""

    mean: list[list[float]]
    std: list[list[float]]
    masks: Count
    images: Count
    measured_on: str


MAX_TARGETS = 64
BLOCK_MASKINGS = ("multiblock", "reference")
"""Masking strategies whose targets are blocks."""


class TargetBlocks(NamedTuple):
    """Target blocks of an image: their number, their share of the grid and height over width. Defaults: appendix A.1."""

    targets: int = 4
    target_scale: tuple[float, float] = (0.15, 0.2)
    target_aspect: tuple[float, float] = (0.75, 1.5)


class Masking(Record):
    """The masks of the training.

    A strategy of `BLOCK_MASKINGS` has target blocks, by default the paper's; others have their own settings, kept as they are.
    """

    model_config = ConfigDict(extra="allow")

    name: str = "multiblock"
    targets: Annotated[int, Field(ge=1, le=MAX_TARGETS)] | None = None
    target_scale: tuple[Scale, Scale] | None = None
    target_aspect: tuple[Ratio, Ratio] | None = None

    @model_validator(mode="before")
    @classmethod
    def _default_blocks(cls, settings: Any) -> Any:
        if isinstance(settings, dict) and settings.get("name", "multiblock") in BLOCK_MASKINGS:
            return TargetBlocks()._asdict() | {name: value for name, value in settings.items() if value is not None}
        return settings

    @model_serializer(mode="wrap")
    def _without_absent(self, serialize: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        return {name: value for name, value in serialize(self).items() if value is not None}

    @property
    def blocks(self) -> TargetBlocks | None:
        """The target blocks; None for a strategy without."""
        if self.name not in BLOCK_MASKINGS:
            return None
        assert self.targets is not None
        assert self.target_scale is not None
        assert self.target_aspect is not None
        return TargetBlocks(self.targets, self.target_scale, self.target_aspect)


class TargetNormalisation(Record):
    """What is applied to the target encoder's tokens before they are compared: a layer norm without weights."""

    name: Literal["layer_norm"] = "layer_norm"
    eps: Positive = 1e-5


class WhitenedOn(Record):
    """The images that the whitened poolings were fitted on."""

    images: Count
    measured_on: str


class File(Record):
    """The digest of a file, and its size in bytes."""

    sha256: Sha256
    size: Count


class ManifestDraft(Record):
    """A manifest without the list of files, which `write_manifest` adds.

    `tolerance` is by precision: how far the canonical outputs may differ at load, divided by max(1, RMS of the tokens).
    """

    format: int = FORMAT
    id: Id
    licence: str
    source: Provenance
    model: ModelConfig
    poolings: dict[Name, Width]
    default_pooling: Name = "mean"
    whitening: WhitenedOn | None = None
    masking: Masking = Masking()
    distance: Distance
    target_normalisation: TargetNormalisation = TargetNormalisation()
    stored_weights: StoredWeights
    parity: dict[Graph, Parity]
    variants: dict[Name, Variant] = Field(default_factory=dict)
    scaled_decoding: ScaledDecoding | None = None
    accuracy_floor: float = 0.9995
    tolerance: dict[Name, Positive]
    probes: Results | None = None
    calibration: Calibration | None = None

    @model_validator(mode="after")
    def _check(self) -> "ManifestDraft":
        if "float32" not in self.tolerance:
            raise ValueError("tolerance has no value for float32")
        if missing := self.variants.keys() - self.tolerance.keys():
            raise ValueError(f"variants without a tolerance: {', '.join(sorted(missing))}")
        if self.default_pooling not in self.poolings:
            raise ValueError(f"default_pooling is {self.default_pooling}, which is not one of the poolings")
        if lacking := [name for name, variant in self.variants.items() if ENCODER not in variant.accuracy]:
            raise ValueError(f"variants without an accuracy of {ENCODER}: {', '.join(sorted(lacking))}")
        for table in (self.calibration.mean, self.calibration.std) if self.calibration else ():
            if [len(row) for row in table] != [self.grid[1]] * self.grid[0]:
                raise ValueError(f"calibration has no table of {self.grid[0]}x{self.grid[1]} values, one a patch")
        return self

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of patches."""
        return self.model.encoder.grid

    def canonical_poolings(self, precision: str) -> list[str]:
        """The poolings that are compared on the canonical image: all in float32, those that are not whitened in other precisions.

        On an image unlike those that it was fitted on, a whitening amplifies rounding errors beyond any useful tolerance.
        """
        return [name for name in self.poolings if precision == "float32" or not name.endswith(WHITENED)]


class Manifest(ManifestDraft):
    """The contents of `manifest.json`."""

    format: int
    files: Annotated[dict[FileName, File], Field(max_length=MAX_FILES)]

    @property
    def predicts(self) -> bool:
        """Whether the bundle holds a context encoder and a predictor."""
        return PREDICTOR in self.files and CONTEXT in self.files

    @property
    def graphs(self) -> tuple[str, ...]:
        """The graphs that it holds in float32."""
        return (ENCODER, CONTEXT, PREDICTOR) if self.predicts else (ENCODER,)


def upgrade(document: dict[str, Any]) -> dict[str, Any]:
    """A manifest of format 1 or 2 in the current format: some fields had other names, and absent probes were an empty object."""
    parts = ("variants", "whitening", "calibration", "probes")
    renamed = {name: rename_fields(document[name]) for name in parts if name in document}
    return {**document, **renamed, "format": FORMAT, "probes": renamed.get("probes") or None}
