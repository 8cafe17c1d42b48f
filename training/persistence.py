"""A run on disk: its settings, its checkpoints, and how it resumes.

RUN/config.json      a `RunRecord`: all settings and the recipe's name
RUN/step-00001000    checkpoints (`models.checkpoint.store`), the newest `run.keep` of them
RUN/latest           the name of the newest
RUN/log.csv, RUN/tensorboard
"""

import re
import shutil
from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import torch
from pydantic import Field, ValidationError
from safetensors import SafetensorError
from torch import nn

from models.checkpoint.record import Origin, TrainingRecord
from models.checkpoint.store import (
    CONFIG,
    LATEST,
    Checkpoint,
    find_checkpoint,
    load_strictly,
    read_record,
    read_tensors,
    step_folder,
    update_latest,
    write_checkpoint,
)
from models.config import Frozen
from models.errors import CheckpointError, ConfigError, validation_sentence
from models.io import atomic_write, read_json
from models.network.ijepa import IJEPA, PARTS
from training.config import FAMILIES, RunConfig

OPTIMIZER, STATE = "optimizer.safetensors", "state.json"
RUN_FORMAT = 2
MAX_STATE_BYTES = 64_000_000
"""Of `state.json`, which lists the images that could not be read: some five million."""

_WRAPPED = re.compile(rf"^({'|'.join(PARTS)})(\.(module|_orig_mod))+\.")
"""Names below a part that is wrapped by DDP or torch.compile."""
_STEP_FOLDER = re.compile(r"step-\d{8}")


class RunRecord(RunConfig):
    """`config.json` of a run. Format 1 had neither `format` nor `recipe`, and every masking strategy's fields."""

    format: int = RUN_FORMAT
    recipe: str = "none"


class SavedRun(NamedTuple):
    """A run as it was saved: what `--resume` needs."""

    folder: Path
    checkpoint: Path
    config: RunConfig
    recipe: str
    origin: Origin | None


def write_run_record(out: Path, config: RunConfig, recipe: str) -> None:
    """Write a run's `config.json`."""
    record = RunRecord(**dict(config), recipe=recipe)
    atomic_write(out / CONFIG, record.model_dump_json(indent=2) + "\n")


def read_run(path: Path) -> SavedRun:
    """The run that a run folder, or one of its step folders, belongs to.

    Raises:
        CheckpointError: neither, files that cannot be read, or a run of a newer version.
    """
    checkpoint = _of_a_run(find_checkpoint(path))
    training, folder = read_record(checkpoint).training, checkpoint.parent
    try:
        has_record = (folder / CONFIG).exists() and (folder / LATEST).exists()
        saved = read_json(folder / CONFIG) if has_record else training.settings
        if (found := saved.get("format", 1)) not in range(1, RUN_FORMAT + 1):
            raise CheckpointError(
                f"{folder / CONFIG} has run format {found!r}; this version reads formats up to {RUN_FORMAT}: "
                "use the version of ijepa that wrote it, or a newer one"
            )
        values = {name: value for name, value in saved.items() if name in RunConfig.model_fields}
        config = RunConfig.model_validate(upgrade_settings(values))
    except ValidationError as error:
        raise CheckpointError(f"{folder / CONFIG} cannot be read: {validation_sentence(error)}") from error
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise CheckpointError(f"{folder / CONFIG} cannot be read: {error}") from error
    return SavedRun(folder, checkpoint, config, training.recipe, training.init)


def upgrade_settings(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings of an earlier version as today's: they held the fields of all masking strategies, and no objective's name."""
    upgraded = dict(settings)
    for section, table in FAMILIES.items():
        values = settings.get(section, {})
        default = RunConfig.model_fields[section].default.name
        if (member := table.get(values.get("name", default))) is not None:
            own = {name: value for name, value in values.items() if name in member.settings.model_fields}
            upgraded[section] = {"name": values.get("name", default), **own}
    return upgraded


def find_resume(mode: str, out: Path) -> Path | None:
    """What `--resume` means: `auto` the run in `out` if there is one, `never` nothing, else a checkpoint or run.

    Raises:
        CheckpointError: a path that is not a checkpoint of a run.
        ConfigError: `never`, and a run is there, whose log and checkpoints would be mixed with the new one's.
    """
    if mode == "never":
        if (out / LATEST).exists():
            raise ConfigError(f"{out} holds a run; use another --out for a new one, or delete that folder")
        return None
    if mode == "auto":
        return _of_a_run(find_checkpoint(out)) if (out / LATEST).exists() else None
    return _of_a_run(find_checkpoint(Path(mode)))


def _of_a_run(checkpoint: Path) -> Path:
    """A checkpoint, if a run made it."""
    training = read_record(checkpoint).training
    if training.step is None or "data" not in training.settings:
        raise CheckpointError(
            f"{checkpoint} is not a training run (imported weights); start from it with --init {checkpoint}"
        )
    return checkpoint


def save_step(
    out: Path,
    model: IJEPA,
    optimizer: torch.optim.Optimizer,
    record: TrainingRecord,
    keep: int,
    unreadable: Collection[int] = (),
) -> Path:
    """Write a step's checkpoint, name it the latest and delete those before it but for the newest `keep`.

    `unreadable` are the indices of the images that could not be read so far.
    """
    assert record.step is not None, "a run's record has its step"
    folder = step_folder(out, record.step)
    names = {id(p): unwrapped(name) for name, p in model.named_parameters()}
    state = {
        f"{names[id(p)]}:{key}": value.cpu() for p, values in optimizer.state.items() for key, value in values.items()
    }
    tensors = {unwrapped(name): tensor.cpu() for name, tensor in model.state_dict().items()}
    write_checkpoint(
        folder, model.config, tensors, record, state, {"step": record.step, "unreadable": sorted(unreadable)}
    )
    update_latest(out, folder)
    older = [path for path in sorted(out.iterdir()) if _STEP_FOLDER.fullmatch(path.name) and path.name <= folder.name]
    for old in older[:-keep]:
        shutil.rmtree(old)
    return folder


class StepState(Frozen):
    """`state.json`, where a run stands: its step, and the indices of the images that could not be read before."""

    step: Annotated[int, Field(ge=0)]
    unreadable: tuple[int, ...] = ()


def restore_step(checkpoint: Checkpoint, model: nn.Module, optimizer: torch.optim.Optimizer) -> StepState:
    """Load weights and optimizer.

    Raises:
        CheckpointError: a missing or broken file.
    """
    own = {unwrapped(name): name for name in model.state_dict()}
    tensors = {own.get(name, name): tensor for name, tensor in checkpoint.tensors.items()}
    load_strictly(model, tensors, str(checkpoint.folder))
    parameters = {unwrapped(name): parameter for name, parameter in model.named_parameters()}
    device = str(next(iter(parameters.values())).device)
    try:
        saved = read_tensors(checkpoint.folder / OPTIMIZER, device)
        state = StepState.model_validate(read_json(checkpoint.folder / STATE, MAX_STATE_BYTES, MAX_STATE_BYTES))
        for key, value in saved.items():
            name, _, field = key.partition(":")
            if value.numel() > 1 and value.shape != parameters[name].shape:
                raise ValueError(f"{OPTIMIZER}: {key} has shape {list(value.shape)}, not that of its parameter")
            optimizer.state[parameters[name]][field] = value
    except ValidationError as error:
        raise CheckpointError(
            f"{checkpoint.folder} cannot be resumed: {STATE}: {validation_sentence(error)}"
        ) from error
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise CheckpointError(f"{checkpoint.folder} cannot be resumed: {error}") from error
    return state


def unwrapped(name: str) -> str:
    """The name in checkpoints of a tensor: without the names that wrappers of a part (DDP, torch.compile) insert."""
    return _WRAPPED.sub(r"\1.", name)


def delete_incomplete(out: Path) -> None:
    """Delete what an interrupted write left of a step."""
    for incomplete in out.glob(".step-*.tmp"):
        shutil.rmtree(incomplete)
