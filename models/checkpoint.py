"""Checkpoints: a folder a step, of safetensors and JSON, whole or absent.

    RUN/latest                          a text file: the name of the newest whole step
    RUN/step-00001000/model.safetensors context_encoder.*, predictor.*, target_encoder.*, timm's names below them
    RUN/step-00001000/config.json       what the network is, which parts are absent, how it was trained
    RUN/step-00001000/optimizer.safetensors, state.json    what only the trainer needs

Files are read without unpickling anything.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from models.config import ModelConfig
from models.errors import CheckpointError
from models.files import whole_folder, write_whole
from models.ijepa import IJEPA, PARTS

FORMAT = 2
READABLE = (1, 2)
LATEST = "latest"
RUN_LOG = "log.csv"
WEIGHTS = "model.safetensors"


class Checkpoint(NamedTuple):
    """A checkpoint as read: the folder of its step, what the network is, which parts it lacks, how it was trained, its tensors."""

    folder: Path
    config: ModelConfig
    absent: tuple[str, ...]
    training: dict[str, Any]
    tensors: dict[str, Tensor]


def trained_on(training: dict[str, Any]) -> str:
    """All pictures that had a part in the weights."""
    pictures = training.get("trained_on", "unknown pictures")
    before = (training.get("init") or {}).get("trained_on")
    same = f"{pictures}, in several runs"
    if before in (pictures, same):
        return same
    return f"{pictures}, starting from a network trained on {before}" if before else pictures


def licence_of(training: dict[str, Any]) -> str:
    """The licence that the weights came with, or those that training started from."""
    return training.get("licence") or (training.get("init") or {}).get("licence") or "unspecified"


def step_folder(run: Path, step: int) -> Path:
    """Where a run keeps the checkpoint of a step."""
    return run / f"step-{step:08d}"


def write_checkpoint(
    folder: Path,
    config: ModelConfig,
    tensors: dict[str, Tensor],
    training: dict[str, Any],
    optimizer: dict[str, Tensor] | None = None,
    state: dict[str, Any] | None = None,
) -> None:
    """Write a step's folder, whole or not at all. Parts without tensors are named as absent."""
    absent = [part for part in PARTS if not any(name.startswith(f"{part}.") for name in tensors)]
    document = {"format": FORMAT, "model": config.model_dump(mode="json"), "absent": absent, "training": training}
    with whole_folder(folder) as temporary:
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, temporary / WEIGHTS)
        (temporary / "config.json").write_text(json.dumps(document, indent=2) + "\n")
        if optimizer is not None:
            save_file(optimizer, temporary / "optimizer.safetensors")
        if state is not None:
            (temporary / "state.json").write_text(json.dumps(state, indent=2) + "\n")


def point_latest(run: Path, folder: Path) -> None:
    """Name a whole step as the run's newest."""
    write_whole(run / LATEST, folder.name + "\n")


def find_checkpoint(path: Path) -> Path:
    """The step folder that a path names: itself, or the latest of a run.

    Raises:
        CheckpointError: neither.
    """
    if (path / WEIGHTS).exists():
        return path
    if (path / LATEST).exists():
        folder = path / (path / LATEST).read_text().strip()
        if (folder / WEIGHTS).exists():
            return folder
        raise CheckpointError(f"{path / LATEST} names {folder.name!r}, which is not there")
    raise CheckpointError(
        f"{path} is no checkpoint: expected a step folder with model.safetensors, or a run with a file 'latest'"
    )


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a step or a run's latest.

    Raises:
        CheckpointError: missing or broken files, or a format that this version does not read.
    """
    folder = find_checkpoint(path)
    try:
        document = json.loads((folder / "config.json").read_text())
        if not isinstance(document, dict) or document.get("format") not in READABLE:
            raise CheckpointError(
                f"{folder} has checkpoint format {dict(document).get('format')!r}; this version reads {READABLE}"
            )
        config = ModelConfig.model_validate(document["model"])
        tensors = load_file(folder / WEIGHTS)
        return Checkpoint(folder, config, tuple(document["absent"]), document["training"], tensors)
    except (OSError, KeyError, TypeError, ValueError, ValidationError, SafetensorError) as error:
        raise CheckpointError(f"checkpoint {folder} cannot be read: {error}") from error


def load_model(checkpoint: Checkpoint) -> IJEPA:
    """The network, of the parts that the checkpoint has. Its tensors are the checkpoint's own, mapped from the file, not copies.

    Raises:
        CheckpointError: a tensor is missing, extra or has another shape.
    """
    model = whole_or_part(checkpoint)
    check_tensors(model, checkpoint.tensors, str(checkpoint.folder))
    model.load_state_dict(checkpoint.tensors, assign=True)
    return model


def whole_or_part(checkpoint: Checkpoint) -> IJEPA:
    """The network of the parts that a checkpoint has, without numbers."""
    with torch.device("meta"):
        return IJEPA(checkpoint.config, checkpoint.absent)


def load_strictly(module: nn.Module, tensors: dict[str, Tensor], source: str) -> None:
    """Copy tensors into a module of the same names and shapes.

    Raises:
        CheckpointError: listing every tensor that is missing, extra or misshapen; the module is left as it was.
    """
    check_tensors(module, tensors, source)
    module.load_state_dict(tensors)


def check_tensors(module: nn.Module, tensors: Mapping[str, Tensor], source: str) -> None:
    """Compare names and shapes.

    Raises:
        CheckpointError: listing every tensor that is missing, extra or misshapen.
    """
    expected = module.state_dict()
    wrong = [f"missing {name} {list(expected[name].shape)}" for name in expected if name not in tensors]
    wrong += [f"unexpected {name} {list(tensors[name].shape)}" for name in tensors if name not in expected]
    wrong += [
        f"{name} has shape {list(tensors[name].shape)}, expected {list(expected[name].shape)}"
        for name in expected
        if name in tensors and tensors[name].shape != expected[name].shape
    ]
    if wrong:
        raise CheckpointError(f"{source} does not fit the network: {'; '.join(wrong)}")
