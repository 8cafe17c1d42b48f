"""Meta's own training checkpoints, `.pth.tar`: both encoders and the predictor."""

import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from models.bundle.published import NON_COMMERCIAL, PUBLISHED_SETTINGS
from models.errors import ImporterError, short_repr
from models.importers.base import (
    EVALUATION,
    ForeignWeights,
    Importer,
    PreprocessingChoice,
    first_line,
    one_encoder,
    shorten,
)
from models.importers.tensor_names import from_meta_predictor, without_prefix

MAX_PICKLE_BYTES = 16_000_000
"""Of the names and shapes in a checkpoint; those of the published ones have some 100 kB. The values lie beside them."""
META_NAMES = {"context_encoder": "encoder", "predictor": "predictor", "target_encoder": "target_encoder"}
"""Our name of each part, and the published one."""


def read_meta(source: str, preprocessing: PreprocessingChoice) -> ForeignWeights:
    """Read a training checkpoint with `encoder`, `predictor` and `target_encoder`, each tensor name behind `module.`.

    Raises:
        ImporterError: not a torch checkpoint, truncated, with pickled code, or without an encoder.
    """
    path = Path(source)
    document = _load(path)
    found = document if isinstance(document, dict) else {}
    parts = {ours: found[theirs] for ours, theirs in META_NAMES.items() if _is_tensors(found.get(theirs))}
    if not parts.keys() & {"context_encoder", "target_encoder"}:
        names = (key[:60] if isinstance(key, str) else short_repr(key) for key in found)
        raise ImporterError(
            f"{path} is not an I-JEPA checkpoint: expected tensors under 'encoder', 'predictor' and 'target_encoder', "
            f"found {shorten(names) or type(document).__name__}"
        )
    _check_sizes(parts, path)
    parts = {part: without_prefix(tensors, "module.") for part, tensors in parts.items()}
    if "predictor" in parts:
        parts["predictor"] = from_meta_predictor(parts["predictor"])
    notes: tuple[str, ...] = ()
    if "target_encoder" not in parts:
        parts["target_encoder"], notes = parts.pop("context_encoder"), (one_encoder("one encoder ('encoder')"),)
    if preprocessing == "upstream":
        notes += ("Meta's files have no image processor: the preprocessing is that of the published evaluation",)
    name = path.name.removesuffix(".tar").removesuffix(".pth")
    return ForeignWeights(name, parts, EVALUATION, licence=NON_COMMERCIAL, notes=notes, settings=PUBLISHED_SETTINGS)


def _load(path: Path) -> object:
    """The contents of the file; code in it is not run."""
    try:
        if not zipfile.is_zipfile(path):
            raise ImporterError(
                f"{path} is not a torch checkpoint, or is truncated (its size is {path.stat().st_size:,} bytes); "
                "download it again"
            )
        _check_archive(path)
        return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except ImporterError:
        raise
    except pickle.UnpicklingError as error:
        raise ImporterError(
            f"{path} holds more than tensors and plain values, and loading it would run code from the file; it was not loaded"
        ) from error
    except Exception as error:  # a broken pickle raises whatever its instructions run into
        raise ImporterError(f"{path} cannot be read: {first_line(error)}; download it again") from error


def _check_archive(path: Path) -> None:
    """Check what torch would read into memory: the pickle, and what is compressed (torch compresses nothing).

    Raises:
        ImporterError: more than a checkpoint has.
    """
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            if entry.compress_type != zipfile.ZIP_STORED:
                raise ImporterError(
                    f"{path} is not a torch checkpoint: {short_repr(entry.filename)} in it is compressed"
                )
            if entry.filename.endswith(".pkl") and entry.file_size > MAX_PICKLE_BYTES:
                raise ImporterError(
                    f"{path} is not a checkpoint of a network: {short_repr(entry.filename)} in it has {entry.file_size:,} bytes, "
                    f"at most {MAX_PICKLE_BYTES:,} are allowed"
                )


def _check_sizes(parts: Mapping[str, Mapping[str, Tensor]], path: Path) -> None:
    """Check that the tensors are as large as the file: one value can stand for a tensor of any size.

    Raises:
        ImporterError: they are larger.
    """
    size = sum(tensor.numel() * tensor.element_size() for tensors in parts.values() for tensor in tensors.values())
    if size > len(META_NAMES) * path.stat().st_size:  # a tensor may stand under the name of each part
        raise ImporterError(
            f"{path} has tensors of {size:,} bytes in a file of {path.stat().st_size:,}; it is not a checkpoint"
        )


def _is_tensors(value: object) -> bool:
    return (
        isinstance(value, Mapping)
        and bool(value)
        and all(isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in value.items())
    )


META = Importer("Meta's .pth.tar", lambda source: Path(source).is_file(), read_meta)
