"""The bundle: what an exported network is. A folder with a manifest that holds the sha256 of everything else in it.

manifest.json           what the network is, where it comes from, how exact it is; its own sha256 is the bundle's identity
encoder.onnx            pixels -> tokens and poolings            (the target encoder)
context.onnx            pixels, context_ids -> context_tokens    (the context encoder)
predictor.onnx          context_tokens, context_ids, target_ids -> predicted
*.float16.onnx, *.int8.onnx   the same in another precision, where exported; *.data: weights of a large graph
canonical.safetensors   one picture and what comes out for it
MODEL_CARD.md
training_log.csv        the log of the run that made the weights, where there is one
"""

import json
import re
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from pydantic import Field, ValidationError, model_validator
from safetensors import SafetensorError
from safetensors.numpy import load_file

from models.config import Frozen, ModelConfig
from models.errors import BundleError, ConfigError
from models.files import sha256_of

FORMAT = 2
MANIFEST = "manifest.json"
ENCODER, CONTEXT, PREDICTOR = "encoder.onnx", "context.onnx", "predictor.onnx"
CANONICAL, CARD, TRAINING_LOG = "canonical.safetensors", "MODEL_CARD.md", "training_log.csv"
WHITENED = "-whitened"
"""What the whitened form of a pooling has behind its name."""
ID = r"[a-z0-9][a-z0-9._-]*"
"""What a bundle's name is made of."""
ZOO = Path(__file__).parent / "zoo"


class Provenance(Frozen):
    """Where the weights come from. `trained_on` is a sentence part that fits after "trained on".

    `steps` and `images_seen` are None where the source does not say.
    """

    checkpoint_sha256: str
    recipe: str
    trained_on: str
    steps: int | None
    images_seen: int | None


class Distance(Frozen):
    """The distance between predicted and actual tokens that the network was trained with."""

    name: Literal["smooth_l1", "l2"]
    beta: float = 1.0

    def __call__(self, difference: np.ndarray) -> np.ndarray:
        """Its value for each token: the mean over the last axis."""
        size = np.abs(difference)
        if self.name == "l2":
            return np.square(size).mean(axis=-1)
        return np.where(size < self.beta, size**2 / (2 * self.beta), size - self.beta / 2).mean(axis=-1)


class Parity(Frozen):
    """The largest difference between ONNX Runtime and torch, both in float32, and the size of the numbers compared."""

    max_difference: float
    reference_rms: float
    allowed: float


class Accuracy(Frozen):
    """Mean-centred cosines between a graph's features in another precision and in float32: of several poolings the lowest."""

    first_percentile: float
    mean: float


class Variant(Frozen):
    """A bundle in another precision: how close each of its graphs is to float32, and on what that was measured.

    `probe_difference` is in points of linear accuracy against float32, by pooling, where there is one.
    """

    accuracy: dict[str, Accuracy]
    pictures: int
    measured_on: str
    probe_difference: dict[str, float] = Field(default_factory=dict)

    @property
    def worst(self) -> float:
        """The lowest first percentile of its graphs."""
        return min(accuracy.first_percentile for accuracy in self.accuracy.values())


class Calibration(Frozen):
    """Mean and standard deviation of the energy at each place of the grid, over pictures, each of `masks` draws."""

    mean: list[list[float]]
    std: list[list[float]]
    masks: int
    pictures: int
    measured_on: str


class WhitenedOn(Frozen):
    """The pictures by which the whitened poolings were fitted."""

    pictures: int
    measured_on: str


class File(Frozen):
    """One file of the bundle."""

    sha256: str
    size: int


class Manifest(Frozen):
    """`manifest.json`."""

    format: int
    id: Annotated[str, Field(pattern=f"^{ID}$")]
    licence: str
    source: Provenance
    model: ModelConfig
    poolings: dict[str, int]
    whitening: WhitenedOn | None = None
    masking: dict[str, Any]
    distance: Distance
    target_normalisation: dict[str, Any]
    stored_weights: Literal["float32", "float16"]
    parity: dict[str, Parity]
    variants: dict[str, Variant] = Field(default_factory=dict)
    accuracy_floor: float = 0.9995
    tolerance: dict[str, float]
    probes: dict[str, Any] = Field(default_factory=dict)
    calibration: Calibration | None = None
    files: dict[str, File]

    @model_validator(mode="after")
    def _check(self) -> "Manifest":
        if missing := self.variants.keys() - self.tolerance.keys():
            raise ValueError(f"variants without a tolerance: {', '.join(sorted(missing))}")
        return self

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of patches."""
        return self.model.encoder.grid

    def checked(self, precision: str) -> list[str]:
        """The poolings that are compared on the canonical picture: all in float32, the plain ones in others.

        On a picture of no kind that it knows, a whitening enlarges what a coarse precision rounds beyond any useful bound.
        """
        return [name for name in self.poolings if precision == "float32" or not name.endswith(WHITENED)]

    @property
    def predicts(self) -> bool:
        """Whether the bundle holds a context encoder and a predictor."""
        return PREDICTOR in self.files and CONTEXT in self.files


class Bundle(NamedTuple):
    """A bundle whose files were all found as the manifest has them."""

    folder: Path
    manifest: Manifest
    sha256: str

    def path(self, name: str, precision: str = "float32") -> Path:
        """The path of one of its files, or of a graph in another precision."""
        return self.folder / variant_file(name, precision)

    def canonical(self) -> dict[str, np.ndarray]:
        """The canonical picture (`pixels`), its `tokens` and poolings, and one region's prediction."""
        try:
            tensors = load_file(self.path(CANONICAL))
        except (OSError, SafetensorError) as error:
            raise BundleError(f"{self.path(CANONICAL)} cannot be read: {error}") from error
        wanted = {"pixels", "tokens", *self.manifest.poolings}
        if self.manifest.predicts:
            wanted |= {"context_ids", "target_ids", "predicted"}
        if missing := wanted - tensors.keys():
            raise BundleError(f"{self.path(CANONICAL)} lacks {', '.join(sorted(missing))}")
        return tensors


def check_id(text: str) -> str:
    """What may name a bundle to clients.

    Raises:
        ConfigError: it may not.
    """
    if not re.fullmatch(ID, text):
        raise ConfigError(f"{text!r} is no id; use small letters, digits, dots, dashes and underscores")
    return text


def variant_file(name: str, precision: str) -> str:
    """The name of a graph's file: `encoder.onnx`, `encoder.int8.onnx`."""
    return name if precision == "float32" else f"{name.removesuffix('.onnx')}.{precision}.onnx"


def zoo() -> list[str]:
    """The names of the bundles that come with the project, the default first."""
    return sorted(path.parent.name for path in ZOO.glob(f"*/{MANIFEST}"))


def find_bundle(name: str) -> Path:
    """The folder of a bundle: a path, or a name from the zoo.

    Raises:
        BundleError: neither.
    """
    for folder in (Path(name), ZOO / name):
        if (folder / MANIFEST).is_file():
            return folder
    raise BundleError(f"{name!r} is no folder with a {MANIFEST} and none of the bundled models ({', '.join(zoo())})")


def read_bundle(folder: Path) -> Bundle:
    """Read the manifest and check every file against it.

    Raises:
        BundleError: a missing, altered or unlisted-for file, or a manifest that this version does not read.
    """
    manifest = read_manifest(folder)
    variants = {variant_file(graph, name) for name, variant in manifest.variants.items() for graph in variant.accuracy}
    needed = {ENCODER, CANONICAL, *variants, *(path.name for path in folder.glob("*.data"))}
    if unlisted := needed - manifest.files.keys():
        raise BundleError(
            f"the manifest of {folder} does not list {', '.join(sorted(unlisted))}, so nothing vouches for it"
        )
    for name, file in manifest.files.items():
        path = folder / name
        if not path.is_file():
            raise BundleError(f"bundle {folder} lacks {name}")
        if path.stat().st_size != file.size or sha256_of(path) != file.sha256:
            raise BundleError(f"{path} is not the file that the manifest describes; fetch or export the bundle again")
    return Bundle(folder, manifest, sha256_of(folder / MANIFEST))


def read_manifest(folder: Path) -> Manifest:
    """The manifest alone, its files unchecked.

    Raises:
        BundleError: missing, malformed, or of a newer format.
    """
    path = folder / MANIFEST
    try:
        document = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise BundleError(f"{path} cannot be read: {error}") from error
    version = document.get("format") if isinstance(document, dict) else None
    if isinstance(version, int) and version > FORMAT:
        raise BundleError(
            f"{path} has bundle format {version}; this version reads up to {FORMAT}, install a newer ijepa-features"
        )
    try:
        return Manifest.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        raise BundleError(f"{path} is malformed at {'.'.join(map(str, first['loc']))}: {first['msg']}") from error


def refuse_to_replace(out: Path) -> None:
    """A bundle may take the place of a bundle or of an empty folder, and of nothing else.

    Raises:
        BundleError: something else is there.
    """
    if out.exists() and not out.is_dir():
        raise BundleError(f"{out} is a file; --out names a folder")
    found = {path.name for path in out.iterdir()} if out.is_dir() else set()
    if not found:
        return
    try:
        own = {MANIFEST, *read_manifest(out).files}
    except BundleError as error:
        raise BundleError(f"{out} is not empty and holds no bundle; use another --out") from error
    if foreign := found - own:
        raise BundleError(f"{out} holds {', '.join(sorted(foreign))} besides a bundle; use another --out")


def write_manifest(folder: Path, manifest: dict[str, Any]) -> Manifest:
    """List the folder's files in the manifest and write it."""
    files = {path.name: {"sha256": sha256_of(path), "size": path.stat().st_size} for path in sorted(folder.iterdir())}
    files.pop(MANIFEST, None)
    checked = Manifest.model_validate({"format": FORMAT, **manifest, "files": files})
    (folder / MANIFEST).write_text(checked.model_dump_json(indent=2) + "\n")
    return checked
