"""Find, read and write bundles. Every file is checked against the manifest before it is used, and nothing else is opened."""

import os
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
from pydantic import ValidationError

from models.bundle.canonical_file import read_canonical
from models.bundle.external_data import external_files
from models.bundle.fields import ID
from models.bundle.manifest import (
    CANONICAL,
    CARD,
    ENCODER,
    FORMAT,
    MANIFEST,
    File,
    Manifest,
    ManifestDraft,
    upgrade,
)
from models.errors import BundleError, ConfigError, short_repr, validation_sentence
from models.io import read_json, read_within, sha256_of

ZOO = Path(__file__).parents[1] / "zoo"
MAX_CARD_BYTES = 1_000_000


class Bundle(NamedTuple):
    """A bundle whose files all match its manifest."""

    folder: Path
    manifest: Manifest
    sha256: str

    def path(self, name: str, precision: str = "float32") -> Path:
        """The path of a file, or of a graph in another precision.

        Raises:
            BundleError: the manifest does not list it.
        """
        file = variant_file(name, precision)
        if file not in self.manifest.files and file != MANIFEST:
            raise BundleError(f"the manifest of {self.folder} does not list {file}")
        return self.folder / file

    def card(self) -> str:
        """The text of the model card.

        Raises:
            BundleError: it cannot be read.
        """
        try:
            return read_within(self.path(CARD), MAX_CARD_BYTES).decode()
        except (OSError, ValueError) as error:
            raise BundleError(f"{self.path(CARD)} cannot be read: {error}") from error

    def canonical(self) -> dict[str, np.ndarray]:
        """The canonical image (`pixels`), its `tokens` and poolings, and the prediction of one region.

        Raises:
            BundleError: the file cannot be read, or has not the tensors that the manifest calls for.
        """
        return read_canonical(self.path(CANONICAL), self.manifest)


def check_id(text: str) -> str:
    """Return a bundle id unchanged.

    Raises:
        ConfigError: not a valid id.
    """
    if not re.fullmatch(ID, text):
        raise ConfigError(f"{text!r} is not a valid id; use lowercase letters, digits, dots, dashes and underscores")
    return text


FROM_FLOAT32 = ("float32", "bfloat16")
"""Precisions without graphs of their own: they run the float32 graphs."""


def variant_file(name: str, precision: str) -> str:
    """The file of a graph in a precision: `encoder.onnx`, `encoder.int8.onnx`."""
    return name if precision in FROM_FLOAT32 else f"{name.removesuffix('.onnx')}.{precision}.onnx"


def zoo() -> list[str]:
    """Names of the bundled models, the default first."""
    return sorted(path.parent.name for path in ZOO.glob(f"*/{MANIFEST}"))


def user_bundles() -> Path:
    """The folder of the current user's bundles: `ijepa-features/bundles` in `$XDG_DATA_HOME` or `~/.local/share`."""
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "ijepa-features" / "bundles"


def local_bundles() -> list[Path]:
    """Folders of the bundles in `./bundles` and in the current user's folder."""
    return [path.parent for root in (Path("bundles"), user_bundles()) for path in sorted(root.glob(f"*/{MANIFEST}"))]


def find_bundle(name: str) -> Path:
    """The folder of a bundle: a path, or a name from `./bundles`, the user's own bundles or the zoo.

    Raises:
        BundleError: none of these. For a run or a checkpoint the message names the command that exports it.
    """
    for folder in (Path(name), Path("bundles") / name, user_bundles() / name, ZOO / name):
        if (folder / MANIFEST).is_file():
            return folder
    if any((Path(name) / file).is_file() for file in ("latest", "model.safetensors")):
        suggested = f"bundles/{Path(name).resolve().name}"
        raise BundleError(
            f"{name} is a checkpoint, not a bundle; export it first: ijepa export {name} --out {suggested}"
        )
    known = [path.name for path in local_bundles()] + zoo()
    raise BundleError(
        f"there is no bundle {name!r}: it is not a folder with a {MANIFEST}, and not one of {', '.join(known)}"
    )


def read_bundle(folder: Path) -> Bundle:
    """Read the manifest and check every file against it.

    Raises:
        BundleError: a missing, altered or unlisted file, a graph that takes weights from one, or a manifest that this version
            does not read.
    """
    manifest = read_manifest(folder)
    variants = {
        variant_file(graph, name)
        for name, variant in manifest.variants.items()
        for graph in (*variant.accuracy, *manifest.graphs)
    }
    needed = {ENCODER, CANONICAL, *variants, *(path.name for path in folder.glob("*.data"))}
    if unlisted := needed - manifest.files.keys():
        raise BundleError(
            f"the manifest of {folder} does not list {', '.join(sorted(unlisted))}, so it cannot be verified"
        )
    for name, file in manifest.files.items():
        path = folder / name
        if not path.is_file():
            raise BundleError(f"bundle {folder} lacks {name}")
        _check_inside(path, folder)
        if path.stat().st_size != file.size or sha256_of(path) != file.sha256:
            raise BundleError(f"{path} is not the file that the manifest describes; pull or export the bundle again")
    for name in manifest.files:
        if name.endswith(".onnx"):
            _check_external_data(folder / name, manifest)
    bundle = Bundle(folder, manifest, sha256_of(folder / MANIFEST))
    bundle.canonical()
    return bundle


def _check_inside(path: Path, folder: Path) -> None:
    """Check that a file does not link to one elsewhere. In the hub's cache files are links to its own folder `blobs`.

    Raises:
        BundleError: it does.
    """
    home = folder.resolve()
    allowed = [home, home.parents[1] / "blobs"] if home.parent.name == "snapshots" else [home]
    if not any(path.resolve().is_relative_to(place) for place in allowed):
        raise BundleError(f"{path} is a link to a file outside the bundle; replace it by the file itself")


def _check_external_data(path: Path, manifest: Manifest) -> None:
    """Check that a graph takes weights from listed files alone.

    Raises:
        BundleError: it names another file, or cannot be read.
    """
    try:
        others = external_files(path) - manifest.files.keys()
    except (OSError, ValueError) as error:
        raise BundleError(f"{path} cannot be read: {error}") from error
    if others:
        raise BundleError(
            f"{path} takes weights from {short_repr(min(others))}, which the manifest does not list, so they cannot be verified"
        )


def read_manifest(folder: Path) -> Manifest:
    """The manifest, without a check of the other files.

    Raises:
        BundleError: missing, malformed, or of a newer format.
    """
    path = folder / MANIFEST
    try:
        _check_inside(path, folder)
        document = read_json(path)
    except (OSError, ValueError) as error:
        raise BundleError(f"{path} cannot be read: {error}") from error
    version = document.get("format") if isinstance(document, dict) else None
    if isinstance(version, int) and version > FORMAT:
        raise BundleError(
            f"{path} has bundle format {version}; this version reads up to {FORMAT}, install a newer ijepa-features"
        )
    try:
        return Manifest.model_validate(upgrade(document) if version in (1, 2) else document)
    except ValidationError as error:
        raise BundleError(f"{path} is malformed: {validation_sentence(error)}") from error


def check_replaceable(out: Path) -> None:
    """Check that `out` is absent, an empty folder or a bundle: only these may be replaced.

    Raises:
        BundleError: anything else.
    """
    if out.exists() and not out.is_dir():
        raise BundleError(f"{out} is a file; --out must be a folder")
    found = {path.name for path in out.iterdir()} if out.is_dir() else set()
    if not found:
        return
    try:
        own = {MANIFEST, *read_manifest(out).files}
    except BundleError as error:
        raise BundleError(f"{out} is not empty and is not a bundle; use another --out") from error
    if others := found - own:
        raise BundleError(f"{out} has {', '.join(sorted(others))} besides a bundle; use another --out")


def write_manifest(folder: Path, draft: ManifestDraft) -> Manifest:
    """Complete a manifest with the files of the folder, in the current format, and write it.

    `draft` may be the manifest of another bundle: its list of files is replaced.
    """
    files = {
        path.name: File(sha256=sha256_of(path), size=path.stat().st_size)
        for path in sorted(folder.iterdir())
        if path.name != MANIFEST
    }
    fields = {name: getattr(draft, name) for name in ManifestDraft.model_fields}
    manifest = Manifest.model_validate(fields | {"format": FORMAT, "files": files})
    (folder / MANIFEST).write_text(manifest.model_dump_json(indent=2) + "\n")
    return manifest
