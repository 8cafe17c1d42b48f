"""A run's settings, in two halves: what changes its result, and what does not (`run`).

Resuming with another first half is an error that names the field; the second half may change at any time.
"""

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from models.config import Frozen, ModelConfig, model_of_size
from models.errors import ConfigError, short_repr, validation_sentence
from models.images.preprocess import IMAGENET_MEAN, IMAGENET_STD, Preprocessing
from training.families import FamilyOf, MemberSettings
from training.fields import Count, Decay, Rate, Ratio, Ratios, Share, Shares
from training.loggers.csv import CsvSettings
from training.loggers.table import LOGGERS
from training.loggers.tensorboard import TensorBoardSettings
from training.masking.multiblock import MultiBlockSettings
from training.masking.table import MASKINGS
from training.objectives.latent import LatentSettings
from training.objectives.table import OBJECTIVES


class DataConfig(Frozen):
    """Which images, and how a training view is cut from one.

    `name` is what model cards call the images. With `by_suffix` files of a folder count as images by their name alone,
    which lists faster.
    """

    uri: Annotated[str, Field(min_length=1)]
    name: str | None = None
    by_suffix: bool = False
    crop_scale: Shares = (0.3, 1.0)
    crop_aspect: Ratios = (3 / 4, 4 / 3)
    flip: bool = False


class NetworkConfig(Frozen):
    """A row of `models.config.SIZES`, and the images that it takes.

    `channels` null is taken from the images when a run starts: 1 where all of a sample are grey, else 3. `mean` and `std`
    are per channel; null is ImageNet's, averaged over its channels for grey. A run that starts from a checkpoint takes what
    is null from it.
    """

    size: str = "nano"
    image_size: Count = 224
    patch_size: Count = 16
    channels: Literal[1, 3] | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[Ratio, ...] | None = None
    predictor_width: Count | None = None
    predictor_depth: Count | None = None

    def build(self) -> ModelConfig:
        """The network that these settings name.

        Raises:
            ConfigError: they contradict one another.
        """
        channels = self.channels or 3
        mean = self.mean or _per_channel(IMAGENET_MEAN, channels)
        std = self.std or _per_channel(IMAGENET_STD, channels)
        if not len(mean) == len(std) == channels:
            raise ConfigError(
                f"network.channels={channels}, but network.mean has {len(mean)} values and network.std {len(std)}; "
                "give one value for each channel, or null for ImageNet's (network.mean=null network.std=null)"
            )
        pixels = Preprocessing(size=(self.image_size, self.image_size), channels=channels, mean=mean, std=std)
        try:
            return model_of_size(
                self.size,
                patch_size=self.patch_size,
                pixels=pixels,
                predictor_width=self.predictor_width,
                predictor_depth=self.predictor_depth,
            )
        except ValidationError as error:
            raise ConfigError(f"network: {validation_sentence(error)}") from error


def _per_channel(values: tuple[float, ...], channels: int) -> tuple[float, ...]:
    return values if channels == len(values) else (sum(values) / len(values),)


class OptimConfig(Frozen):
    """AdamW and the three schedules. `warmup` is in epochs and may be a fraction of one."""

    batch_size: Count = 256
    epochs: Annotated[float, Field(gt=0)] = 100
    warmup: Rate = 10
    start_lr: Rate = 2e-4
    lr: Rate = 1e-3
    final_lr: Rate = 1e-6
    weight_decay: Rate = 0.04
    final_weight_decay: Rate = 0.4
    betas: tuple[Decay, Decay] = (0.9, 0.999)
    ema: Share = 0.996
    final_ema: Share = 1.0
    precision: Literal["float32", "bfloat16"] = "bfloat16"

    @model_validator(mode="after")
    def _check(self) -> "OptimConfig":
        if self.warmup >= self.epochs:
            raise ValueError(f"warmup of {self.warmup} epochs must be shorter than the run of {self.epochs}")
        return self


class ExecutionConfig(Frozen):
    """What does not change a result but for rounding: where and how the run computes, what it logs, what it keeps.

    `compile` fuses each network with torch.compile: minutes before the first step, a third more images/s on a CPU.
    `log_every` and `checkpoint_every` are in steps; null is about 100 rows and 10 checkpoints a run, one at least every
    5,000 steps. `tensorboard=false` leaves that logger out.
    """

    device: str = "auto"
    threads: Annotated[int, Field(ge=0)] | None = None
    compile: bool = False
    workers: Count = 2
    log_every: Count | None = None
    checkpoint_every: Count | None = None
    keep: Count = 3
    tensorboard: bool = True
    loggers: tuple[Annotated[MemberSettings, FamilyOf(LOGGERS, "csv")], ...] = (CsvSettings(), TensorBoardSettings())

    def log_interval(self, steps: int) -> int:
        """Steps between two rows of the log of a run of `steps`."""
        return self.log_every or max(1, round(steps / 100))

    def checkpoint_interval(self, steps: int) -> int:
        """Steps between two checkpoints of a run of `steps`."""
        return self.checkpoint_every or min(5000, max(1, round(steps / 10)))

    def active_loggers(self) -> list[MemberSettings]:
        """The loggers of the run."""
        return [each for each in self.loggers if self.tensorboard or each.name != "tensorboard"]


class RunConfig(Frozen):
    """A whole run."""

    data: DataConfig
    network: NetworkConfig = NetworkConfig()
    masking: Annotated[MemberSettings, FamilyOf(MASKINGS, "multiblock")] = MultiBlockSettings()
    objective: Annotated[MemberSettings, FamilyOf(OBJECTIVES, "latent")] = LatentSettings()
    optim: OptimConfig = OptimConfig()
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    run: ExecutionConfig = ExecutionConfig()

    def result_half(self) -> dict[str, Any]:
        """The settings that change results, as plain JSON values.

        Where the images are, how they are named and how they are listed is not among them: the images themselves are
        compared on resume.
        """
        return self.model_dump(mode="json", exclude={"run": True, "data": {"uri", "name", "by_suffix"}})

    def saved_half(self) -> dict[str, Any]:
        """What a checkpoint keeps: the half that changes results, and the images' URI."""
        half = self.result_half()
        return {**half, "data": {"uri": self.data.uri, **half["data"]}}


def override(config: RunConfig, assignments: list[str]) -> RunConfig:
    """The configuration with `section.field=value` assignments applied; values are read as JSON, else as text.

    `masking.name=random` starts from that member's defaults, whatever the configuration had for another one.

    Raises:
        ConfigError: an assignment without `=`, an unknown field, or a value of the wrong kind.
    """
    pairs = [_split(assignment) for assignment in assignments]
    values = config.model_dump()
    for path, value in pairs:
        section, _, field = path.partition(".")
        if field == "name" and section in FAMILIES and value != values[section]["name"]:
            values[section] = _defaults(section, value)
    for path, value in pairs:
        *sections, field = path.split(".")
        node: Any = values
        for section in sections:
            node = node.get(section, {}) if isinstance(node, dict) else {}
        if not isinstance(node, dict) or field not in node or isinstance(node[field], dict):
            raise ConfigError(f"unknown setting {path!r}; the settings are {', '.join(_names(values))}")
        node[field] = value
    return validate(values)


FAMILIES: dict[str, Mapping[str, Any]] = {"masking": MASKINGS, "objective": OBJECTIVES}
"""Sections whose fields are those of the member that `name` names."""


def _defaults(section: str, name: object) -> dict[str, Any]:
    if str(name) not in FAMILIES[section]:
        raise ConfigError(f"unknown {section} {short_repr(name)}; the names are {', '.join(FAMILIES[section])}")
    defaults: MemberSettings = FAMILIES[section][str(name)].settings()
    return defaults.model_dump()


def _split(assignment: str) -> tuple[str, Any]:
    path, equals, text = assignment.partition("=")
    if not equals:
        raise ConfigError(f"{assignment!r} is not a setting; write section.field=value, as in optim.lr=0.001")
    try:
        return path, json.loads(text)
    except json.JSONDecodeError:
        return path, text


def validate(values: dict[str, Any]) -> RunConfig:
    """A configuration from plain values, with the first thing that is wrong in one sentence.

    Raises:
        ConfigError: naming the field, the value given and what was expected.
    """
    try:
        return RunConfig.model_validate(values)
    except ValidationError as error:
        raise ConfigError(f"setting {validation_sentence(error, with_input=True)}") from error


def settings_of(config: RunConfig) -> list[str]:
    """The dotted names of all settings."""
    return _names(config.model_dump())


def _names(values: dict[str, Any]) -> list[str]:
    names = []
    for section, value in values.items():
        names += [f"{section}.{field}" for field in value] if isinstance(value, dict) else [section]
    return names


def differences(before: dict[str, Any], now: dict[str, Any], prefix: str = "") -> list[str]:
    """The fields in which two result halves differ, as `optim.lr was 0.001, is 0.002`."""
    found = []
    for name in sorted(before.keys() | now.keys()):
        old, new = before.get(name), now.get(name)
        if isinstance(old, dict) and isinstance(new, dict):
            found += differences(old, new, f"{prefix}{name}.")
        elif old != new:
            found.append(f"{prefix}{name} was {old!r}, is {new!r}")
    return found
