"""A run's settings, in two halves: what changes its result, and what does not (`run`).

Resuming with another first half is an error that names the field; the second half may change at any time.
"""

import json
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationError, model_validator

from models.config import Frozen, ModelConfig, model_of_size
from models.errors import ConfigError
from models.preprocess import IMAGENET_MEAN, IMAGENET_STD, PixelRecipe


def _ordered(value: tuple[float, float]) -> tuple[float, float]:
    if value[0] > value[1]:
        raise ValueError(f"the range {list(value)} runs backwards; write the smaller number first")
    return value


Share = Annotated[float, Field(gt=0, le=1)]
Count = Annotated[int, Field(ge=1)]
Rate = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Ratio = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Shares = Annotated[tuple[Share, Share], AfterValidator(_ordered)]
Ratios = Annotated[tuple[Ratio, Ratio], AfterValidator(_ordered)]


class DataConfig(Frozen):
    """Which pictures, and how a training view is cut from one."""

    uri: str
    crop_scale: Shares = (0.3, 1.0)
    crop_aspect: Ratios = (3 / 4, 4 / 3)
    flip: bool = False


class NetworkConfig(Frozen):
    """A row of `models.config.SIZES`, and the pictures that it takes.

    `mean` and `std` are per channel; null is ImageNet's, whose average stands for grey.
    """

    size: str = "nano"
    image_size: Count = 224
    patch_size: Count = 16
    channels: Literal[1, 3] = 3
    mean: tuple[float, ...] | None = None
    std: tuple[Ratio, ...] | None = None
    predictor_width: Count | None = None
    predictor_depth: Count | None = None

    def build(self) -> ModelConfig:
        """The network that these settings name.

        Raises:
            ConfigError: they contradict one another.
        """
        mean, std = (
            self.mean or _per_channel(IMAGENET_MEAN, self.channels),
            self.std or _per_channel(IMAGENET_STD, self.channels),
        )
        if not len(mean) == len(std) == self.channels:
            raise ConfigError(
                f"network.channels={self.channels}, but network.mean has {len(mean)} values and network.std {len(std)}; "
                "give one a channel, or null for the usual ones (network.mean=null network.std=null)"
            )
        pixels = PixelRecipe(size=(self.image_size, self.image_size), channels=self.channels, mean=mean, std=std)
        try:
            return model_of_size(
                self.size,
                patch_size=self.patch_size,
                pixels=pixels,
                predictor_width=self.predictor_width,
                predictor_depth=self.predictor_depth,
            )
        except ValidationError as error:
            raise ConfigError(f"network: {error.errors()[0]['msg'].removeprefix('Value error, ')}") from error


def _per_channel(values: tuple[float, ...], channels: int) -> tuple[float, ...]:
    return values if channels == len(values) else (sum(values) / len(values),)


class MaskingConfig(Frozen):
    """Scales are shares of the grid's patches; aspect is height over width. Defaults are the paper's (appendix A.1).

    `context_budget` is K as a share of the grid, of `multiblock` alone; `hidden` is the share that `block` and `random` hide;
    `min_keep` is of `reference` alone.
    """

    name: Literal["multiblock", "reference", "rasterized", "block", "random"] = "multiblock"
    targets: Count = 4
    target_scale: Shares = (0.15, 0.2)
    target_aspect: Ratios = (0.75, 1.5)
    context_scale: Shares = (0.85, 1.0)
    context_budget: Share = 0.3
    hidden: Annotated[float, Field(gt=0, lt=1)] = 0.6
    min_keep: Annotated[int, Field(ge=0)] = 10


class ObjectiveConfig(Frozen):
    """How far a prediction is off: smooth L1 as in the published code, or the paper's squared distance."""

    distance: Literal["smooth_l1", "l2"] = "smooth_l1"
    beta: Annotated[float, Field(gt=0)] = 1.0


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
    betas: tuple[float, float] = (0.9, 0.999)
    ema: Share = 0.996
    final_ema: Share = 1.0
    precision: Literal["float32", "bfloat16"] = "bfloat16"

    @model_validator(mode="after")
    def _check(self) -> "OptimConfig":
        if self.warmup >= self.epochs:
            raise ValueError(f"warmup of {self.warmup} epochs must be shorter than the run of {self.epochs}")
        return self


class ExecutionConfig(Frozen):
    """What does not change a result but for rounding: where and how the run computes, what it prints, what it keeps.

    `compile` fuses each network with torch.compile: minutes before the first step, a third more pictures a second on a CPU.
    """

    device: str = "auto"
    threads: int | None = None
    compile: bool = False
    workers: Count = 2
    log_every: Count = 50
    checkpoint_every: Count = 500
    keep: Count = 3
    tensorboard: bool = True


class RunConfig(Frozen):
    """A whole run."""

    data: DataConfig
    network: NetworkConfig = NetworkConfig()
    masking: MaskingConfig = MaskingConfig()
    objective: ObjectiveConfig = ObjectiveConfig()
    optim: OptimConfig = OptimConfig()
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    run: ExecutionConfig = ExecutionConfig()

    def result_half(self) -> dict[str, Any]:
        """The settings that change results, as plain JSON values."""
        return self.model_dump(mode="json", exclude={"run"})


def override(config: RunConfig, assignments: list[str]) -> RunConfig:
    """The configuration with `section.field=value` assignments applied; values are read as JSON, else as text.

    Raises:
        ConfigError: an assignment without `=`, a field that does not exist, or a value it cannot take.
    """
    values = config.model_dump()
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        if not equals:
            raise ConfigError(f"{assignment!r} is no setting; write section.field=value, as in optim.lr=0.001")
        *sections, field = path.split(".")
        node = values
        for section in sections:
            node = node.get(section, {}) if isinstance(node, dict) else {}
        if not isinstance(node, dict) or field not in node or isinstance(node[field], dict):
            known = ", ".join(settings_of(config))
            raise ConfigError(f"setting {path!r} is unknown; the settings are {known}")
        node[field] = _parse(text)
    return validate(values)


def validate(values: dict[str, Any]) -> RunConfig:
    """A configuration from plain values, with the first thing that is wrong in one sentence.

    Raises:
        ConfigError: naming the field, the value given and what was expected.
    """
    try:
        return RunConfig.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ConfigError(
            f"setting {where}={first['input']!r}: {first['msg'].removeprefix('Value error, ')}"
        ) from error


def settings_of(config: RunConfig) -> list[str]:
    """The dotted names of all settings."""
    names = []
    for name, value in config:
        names += [f"{name}.{field}" for field in type(value).model_fields] if isinstance(value, Frozen) else [name]
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


def _parse(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text
