"""Checkpoints: one folder for each step, of safetensors and JSON, written atomically.

    RUN/latest                          a text file: the name of the newest step
    RUN/step-00001000/model.safetensors context_encoder.*, predictor.*, target_encoder.*, timm's names below them
    RUN/step-00001000/config.json       what the network is, which parts are absent, how it was trained
    RUN/step-00001000/optimizer.safetensors, state.json    what only the trainer needs

Files are read without unpickling anything.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from models.checkpoint.record import FORMAT, READABLE, CheckpointRecord, TrainingRecord, upgrade
from models.config import ModelConfig
from models.errors import CheckpointError, short_repr, validation_sentence
from models.io import atomic_directory, atomic_write, check_safetensors_header, read_json, read_within
from models.network.ijepa import IJEPA, PARTS

LATEST = "latest"
RUN_LOG = "log.csv"
WEIGHTS, CONFIG = "model.safetensors", "config.json"
PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")
MAX_LATEST_BYTES = 1000
MAX_LISTED = 1000
"""Tensors that an error lists; more are counted."""
DTYPES = (torch.float32, torch.float16, torch.bfloat16, torch.float64)
"""Of a network's tensors."""


class Checkpoint(NamedTuple):
    """A checkpoint as read: the folder of its step, what the network is, which parts it lacks, how it was trained, its tensors."""

    folder: Path
    config: ModelConfig
    absent: tuple[str, ...]
    training: TrainingRecord
    tensors: dict[str, Tensor]


def step_folder(run: Path, step: int) -> Path:
    """Where a run keeps the checkpoint of a step."""
    return run / f"step-{step:08d}"


def write_checkpoint(
    folder: Path,
    config: ModelConfig,
    tensors: dict[str, Tensor],
    training: TrainingRecord | Mapping[str, Any],
    optimizer: dict[str, Tensor] | None = None,
    state: dict[str, Any] | None = None,
) -> None:
    """Write a step's folder atomically. Parts without tensors are listed as absent. `training` may be plain values of a record."""
    absent = tuple(part for part in PARTS if not any(name.startswith(f"{part}.") for name in tensors))
    record = CheckpointRecord(model=config, absent=absent, training=TrainingRecord.model_validate(training))
    with atomic_directory(folder) as temporary:
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, temporary / WEIGHTS)
        (temporary / CONFIG).write_text(record.model_dump_json(indent=2) + "\n")
        if optimizer is not None:
            save_file(optimizer, temporary / "optimizer.safetensors")
        if state is not None:
            (temporary / "state.json").write_text(json.dumps(state, indent=2) + "\n")


def update_latest(run: Path, folder: Path) -> None:
    """Name a step as the run's newest."""
    atomic_write(run / LATEST, folder.name + "\n")


def find_checkpoint(path: Path) -> Path:
    """The step folder that a path names: itself, or the latest of a run.

    Raises:
        CheckpointError: neither.
    """
    if (path / WEIGHTS).exists():
        return path
    if (path / LATEST).exists():
        folder = path / _read_latest(path)
        if (folder / WEIGHTS).exists():
            return folder
        raise CheckpointError(f"{path / LATEST} names {folder.name!r}, which is not there")
    raise CheckpointError(
        f"{path} is not a checkpoint: expected a step folder with model.safetensors, or a run with a file 'latest'"
    )


def _read_latest(run: Path) -> str:
    """The step that a run's `latest` names: a folder of the run itself.

    Raises:
        CheckpointError: something else, or a link that leads elsewhere.
    """
    try:
        name = read_within(run / LATEST, MAX_LATEST_BYTES).decode().strip()
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{run / LATEST} cannot be read: {error}") from error
    if not PLAIN_NAME.fullmatch(name) or (run / name).resolve().parent != run.resolve():
        raise CheckpointError(
            f"{run / LATEST} names {short_repr(name)}, expected a folder of the run like {step_folder(run, 1).name}"
        )
    return name


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a step or a run's latest.

    Raises:
        CheckpointError: missing or broken files, or a format that this version does not read.
    """
    folder = find_checkpoint(path)
    record = read_record(folder)
    try:
        tensors = read_tensors(folder / WEIGHTS)
    except (OSError, ValueError, SafetensorError) as error:
        raise CheckpointError(f"checkpoint {folder} cannot be read: {error}") from error
    return Checkpoint(folder, record.model, record.absent, record.training, tensors)


def read_tensors(path: Path, device: str = "cpu") -> dict[str, Tensor]:
    """The tensors of a safetensors file, mapped from it where the device is the CPU.

    Raises:
        OSError, ValueError, SafetensorError: it cannot be read, or its header is too large.
    """
    check_safetensors_header(path)
    return load_file(path, device=device)


def read_record(folder: Path) -> CheckpointRecord:
    """What a step's folder says of its network and its training.

    Raises:
        CheckpointError: a missing or broken file, or a format that this version does not read.
    """
    try:
        document = read_json(folder / CONFIG)
        found = document.get("format") if isinstance(document, dict) else None
        if found not in READABLE:
            raise CheckpointError(
                f"{folder} has checkpoint format {found!r}; this version reads {', '.join(map(str, READABLE))}"
            )
        return CheckpointRecord.model_validate(document if found == FORMAT else upgrade(document))
    except ValidationError as error:
        raise CheckpointError(f"checkpoint {folder} cannot be read: {CONFIG}: {validation_sentence(error)}") from error
    except (OSError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(f"checkpoint {folder} cannot be read: {CONFIG}: {error}") from error


def load_model(checkpoint: Checkpoint) -> IJEPA:
    """The network, of the parts that the checkpoint has. Its tensors are the checkpoint's own, mapped from the file, not copies.

    Raises:
        CheckpointError: a tensor is missing, extra or has another shape.
    """
    model = build_empty_model(checkpoint)
    check_tensors(model, checkpoint.tensors, str(checkpoint.folder))
    model.load_state_dict(checkpoint.tensors, assign=True)
    return model


def build_empty_model(checkpoint: Checkpoint) -> IJEPA:
    """The network of the parts that a checkpoint has, on the meta device, without weights."""
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
        CheckpointError: listing the tensors that are missing, extra, misshapen or not of floating point.
    """
    expected = module.state_dict()
    wrong = [f"missing {name} {list(expected[name].shape)}" for name in expected if name not in tensors]
    wrong += [f"unexpected {name} {list(tensors[name].shape)}" for name in tensors if name not in expected]
    wrong += [
        f"{name} has shape {list(tensors[name].shape)}, expected {list(expected[name].shape)}"
        for name in expected
        if name in tensors and tensors[name].shape != expected[name].shape
    ]
    wrong += [
        f"{name} is {tensor.dtype}, {tensor.layout}"
        for name, tensor in tensors.items()
        if tensor.dtype not in DTYPES or tensor.layout is not torch.strided
    ]
    if len(wrong) > MAX_LISTED:
        wrong[MAX_LISTED:] = [f"and {len(wrong) - MAX_LISTED:,} more"]
    if wrong:
        raise CheckpointError(f"{source} does not fit the network: {'; '.join(wrong)}")
