"""What a run starts from, or continues: checks of the checkpoint against the run's settings and images."""

import shlex
from pathlib import Path

from models.checkpoint.record import Images, Origin, TrainingRecord
from models.checkpoint.store import WEIGHTS, Checkpoint, read_record
from models.config import ModelConfig
from models.errors import CheckpointError, ConfigError
from models.io import sha256_of
from training.config import NetworkConfig, RunConfig, differences
from training.persistence import upgrade_settings
from training.recipes import RECIPES, assignments_for


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


def network_of_init(network: NetworkConfig, checkpoint: Checkpoint) -> tuple[NetworkConfig, str | None]:
    """A network with channels, mean and std, where they are null, of the checkpoint that the run starts from; and a note.

    Raises:
        ConfigError: other channels than the checkpoint's.
    """
    pixels = checkpoint.config.pixels
    if network.channels not in (None, pixels.channels):
        raise ConfigError(
            f"network.channels={network.channels}, but {checkpoint.folder} takes images of network.channels="
            f"{pixels.channels}; leave network.channels out, or train without --init"
        )
    saved = {"channels": pixels.channels, "mean": pixels.mean, "std": pixels.std}
    values = {name: value for name, value in saved.items() if getattr(network, name) is None}
    if not values:
        return network, None
    shown = ", ".join(f"network.{name}={_rounded(value)}" for name, value in values.items())
    return (
        NetworkConfig.model_validate({**network.model_dump(), **values}),
        f"{shown} as in the checkpoint {checkpoint.folder}",
    )


def _rounded(value: int | tuple[float, ...]) -> str:
    return str(value) if isinstance(value, int) else "[" + ",".join(f"{each:.4g}" for each in value) + "]"


def saved_network(network: NetworkConfig, checkpoint: Path) -> NetworkConfig:
    """A network with channels, mean and std, where they are null, as the run that resumes has them."""
    saved = read_record(checkpoint).training.settings.get("network", {})
    if network.channels not in (None, saved.get("channels")):
        return network
    values = {name: saved.get(name) for name in ("channels", "mean", "std") if getattr(network, name) is None}
    return NetworkConfig.model_validate({**network.model_dump(), **values})


def check_same_run(checkpoint: Checkpoint, config: RunConfig, images: Images, origin: Origin | None) -> None:
    """A run resumes with the images, the first weights and the settings that it began with.

    Raises:
        ConfigError: something that changes the result differs; the message lists it.
    """
    training = checkpoint.training
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
        changed.append(
            "these are other images (for a folder: other file names or another number of images; "
            "earlier versions listed folders as data.by_suffix=true does)"
        )
    run, finished = checkpoint.folder.parent, training.step is not None and training.step == training.steps
    what = f"{run} is finished and was trained" if finished else f"{run} was begun"
    own = f"continue it with its own (ijepa train --resume {shlex.quote(str(run))}), or "
    raise ConfigError(
        f"{what} with other settings: {'; '.join(changed)}; {'' if finished else own}"
        f"start a new run {_new_run(run, training, config, checkpoint.config)}"
    )


def _new_run(run: Path, training: TrainingRecord, config: RunConfig, architecture: ModelConfig) -> str:
    """The command that trains by `config` from the weights of a run; from the beginning where the networks differ."""
    wanted = config.network.build()
    same = (wanted.encoder, wanted.predictor) == (architecture.encoder, architecture.predictor)
    recipe = training.recipe if training.recipe in RECIPES else next(iter(RECIPES))
    number = 2
    while (out := run.with_name(f"{run.name}-{number}")).exists():
        number += 1
    init = ["--init", str(run)] if same else []
    assignments = assignments_for(config, recipe, of_init=architecture.pixels if same else None)
    command = ["ijepa", "train", recipe, "--data", config.data.uri, *init, "--out", str(out), *assignments]
    return f"{'from its weights' if same else 'from the beginning'}: {shlex.join(command)}"
