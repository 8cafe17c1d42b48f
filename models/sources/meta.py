"""Meta's own training checkpoints, `.pth.tar`: both encoders and the predictor."""

import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from models.convert import from_meta_predictor, without_prefix
from models.errors import SourceError
from models.published import NON_COMMERCIAL, SETTINGS
from models.sources.reading import EVALUATION, Preprocessing, Read, few, first_line, one_encoder

PARTS = {"context_encoder": "encoder", "predictor": "predictor", "target_encoder": "target_encoder"}
"""Ours and theirs."""


def read_meta(path: Path, preprocessing: Preprocessing) -> Read:
    """The published training checkpoint: `encoder`, `predictor`, `target_encoder`, each name behind `module.`."""
    try:
        if not zipfile.is_zipfile(path):
            raise SourceError(
                f"{path} is no checkpoint that torch wrote, or was cut short (its size is {path.stat().st_size:,} bytes); "
                "download it again"
            )
        document = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError as error:
        raise SourceError(
            f"{path} holds more than tensors and plain values, and loading it would run code from the file; it was not loaded"
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise SourceError(f"{path} cannot be read: {first_line(error)}; download it again") from error
    found = document if isinstance(document, dict) else {}
    parts = {ours: found[theirs] for ours, theirs in PARTS.items() if _is_tensors(found.get(theirs))}
    if not parts.keys() & {"context_encoder", "target_encoder"}:
        raise SourceError(
            f"{path} has no I-JEPA inside: expected tensors under 'encoder', 'predictor' and 'target_encoder', "
            f"it has {few(map(str, found)) or type(document).__name__}"
        )
    parts = {part: without_prefix(tensors, "module.") for part, tensors in parts.items()}
    if "predictor" in parts:
        parts["predictor"] = from_meta_predictor(parts["predictor"])
    notes: tuple[str, ...] = ()
    if "target_encoder" not in parts:
        parts["target_encoder"], notes = parts.pop("context_encoder"), (one_encoder("one encoder ('encoder')"),)
    if preprocessing == "upstream":
        notes += ("Meta's files come with no processor: the preprocessing is that of the published evaluation",)
    name = path.name.removesuffix(".tar").removesuffix(".pth")
    return Read(name, parts, EVALUATION, licence=NON_COMMERCIAL, notes=notes, settings=SETTINGS)


def _is_tensors(value: object) -> bool:
    return isinstance(value, Mapping) and bool(value) and all(isinstance(x, Tensor) for x in value.values())
