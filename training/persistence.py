"""A run on disk: its settings, its checkpoints, and how it resumes.

RUN/config.json      a `RunRecord`: all settings and the recipe's name
RUN/step-00001000    checkpoints (`models.checkpoint.store`), the newest `run.keep` of them
RUN/latest           the name of the newest
RUN/log.csv, RUN/tensorboard
"""

import json
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from models.checkpoint.record import Images, Origin, TrainingRecord
from models.checkpoint.store import (
    CONFIG,
    LATEST,
    WEIGHTS,
    Checkpoint,
    find_checkpoint,
    load_strictly,
    read_record,
    step_folder,
    update_latest,
    write_checkpoint,
)
from models.errors import CheckpointError, ConfigError, validation_sentence
from models.io import atomic_write, sha256_of
from models.network.ijepa import IJEPA
from training.config import FAMILIES, NetworkConfig, RunConfig, differences

OPTIMIZER, STATE = "optimizer.safetensors", "state.json"


class RunRecord(RunConfig):
    """`config.json` of a run. Format 1 had neither `format` nor `recipe`, and every masking strategy's fields."""

    format: int = 2
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
        CheckpointError: neither, or files that cannot be read.
    """
    checkpoint = find_checkpoint(path)
    training, folder = read_record(checkpoint).training, checkpoint.parent
    try:
        saved = json.loads((folder / CONFIG).read_text()) if (folder / CONFIG).exists() else training.settings
        values = {name: value for name, value in saved.items() if name in RunConfig.model_fields}
        config = RunConfig.model_validate(upgrade_settings(values))
    except ValidationError as error:
        raise CheckpointError(f"{folder / CONFIG} cannot be read: {validation_sentence(error)}") from error
    except (OSError, ValueError, AttributeError) as error:
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
        CheckpointError: a path that is not a checkpoint.
        ConfigError: `never`, and a run is there, whose log and checkpoints would be mixed with the new one's.
    """
    if mode == "never":
        if (out / LATEST).exists():
            raise ConfigError(f"{out} holds a run; use another --out for a new one, or delete that folder")
        return None
    if mode == "auto":
        return find_checkpoint(out) if (out / LATEST).exists() else None
    return find_checkpoint(Path(mode))


def origin_of(checkpoint: Checkpoint) -> Origin:
    """What a run that starts from a checkpoint's weights records of it.

    Raises:
        CheckpointError: a part of the network is absent.
    """
    if checkpoint.absent:
        raise CheckpointError(
            f"{checkpoint.folder} has no {' and no '.join(checkpoint.absent)}; training needs a checkpoint with all parts"
        )
    training = checkpoint.training
    return Origin(
        sha256=sha256_of(checkpoint.folder / WEIGHTS),
        trained_on=training.trained_on,
        licence=training.licence,
        total_steps=training.total_steps,
        total_images=training.total_images,
        runs=training.runs,
    )


def saved_network(network: NetworkConfig, checkpoint: Path) -> NetworkConfig:
    """A network with channels, mean and std, where they are null, as the run that resumes has them."""
    saved = read_record(checkpoint).training.settings.get("network", {})
    if network.channels not in (None, saved.get("channels")):
        return network
    values = {name: saved.get(name) for name in ("channels", "mean", "std") if getattr(network, name) is None}
    return NetworkConfig.model_validate({**network.model_dump(), **values})


def check_same_run(
    checkpoint: Path, training: TrainingRecord, config: RunConfig, images: Images, origin: Origin | None
) -> None:
    """A run resumes with the images, the first weights and the settings that it began with.

    Raises:
        ConfigError: something that changes the result differs; the message lists it.
    """
    before = {
        "images": training.images and training.images.model_dump(exclude={"description"}),
        "init": training.init and training.init.sha256,
        **upgrade_settings(training.settings),
    }
    now = {
        "images": images.model_dump(exclude={"description"}),
        "init": origin and origin.sha256,
        **config.result_half(),
    }
    for half in (before, now):
        half["data"] = {name: value for name, value in half["data"].items() if name in now["data"]}
    changed = differences(before, now)
    if not changed:
        return
    if before["images"] != now["images"]:
        changed.append("earlier versions listed folders as data.by_suffix=true does")
    run, finished = checkpoint.parent, training.step is not None and training.step == training.steps
    what = f"{run} is finished and was trained" if finished else f"{run} was begun"
    raise ConfigError(
        f"{what} with other settings: {'; '.join(changed)}; continue it with its own "
        f"(ijepa train --resume {run}), or start a new run from its weights (--init {run} with another --out)"
    )


def save_step(out: Path, model: IJEPA, optimizer: torch.optim.Optimizer, record: TrainingRecord, keep: int) -> Path:
    """Write a step's checkpoint, name it the latest and delete those before it but for the newest `keep`."""
    assert record.step is not None, "a run's record has its step"
    folder = step_folder(out, record.step)
    names = {id(p): name for name, p in model.named_parameters()}
    state = {
        f"{names[id(p)]}:{key}": value.cpu() for p, values in optimizer.state.items() for key, value in values.items()
    }
    tensors = {name: tensor.cpu() for name, tensor in model.state_dict().items()}
    write_checkpoint(folder, model.config, tensors, record, state, {"step": record.step})
    update_latest(out, folder)
    older = [path for path in sorted(out.glob("step-*")) if path.name <= folder.name]
    for old in older[:-keep]:
        shutil.rmtree(old)
    return folder


def restore_step(checkpoint: Checkpoint, model: nn.Module, optimizer: torch.optim.Optimizer) -> int:
    """Load weights and optimizer; returns the step.

    Raises:
        CheckpointError: a missing or broken file.
    """
    load_strictly(model, checkpoint.tensors, str(checkpoint.folder))
    parameters = dict(model.named_parameters())
    device = str(next(iter(parameters.values())).device)
    try:
        saved = load_file(checkpoint.folder / OPTIMIZER, device=device)
        step: int = json.loads((checkpoint.folder / STATE).read_text())["step"]
        for key, value in saved.items():
            name, _, field = key.partition(":")
            optimizer.state[parameters[name]][field] = value
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise CheckpointError(f"{checkpoint.folder} cannot be resumed: {error}") from error
    return step


def delete_incomplete(out: Path) -> None:
    """Delete what an interrupted write left of a step."""
    for incomplete in out.glob(".step-*.tmp"):
        shutil.rmtree(incomplete)
