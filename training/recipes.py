"""Named runs. Each docstring has the command, what it costs and the number it should reach."""

import json
from collections.abc import Callable, Collection, Sequence
from typing import Any, TypeVar

from models.config import Frozen
from models.errors import ConfigError
from models.images.preprocess import Preprocessing
from training.config import FAMILIES, DataConfig, ExecutionConfig, NetworkConfig, OptimConfig, RunConfig, override
from training.masking.multiblock import MultiBlockSettings

S = TypeVar("S", bound=Frozen)


def debug() -> RunConfig:
    """`ijepa train debug`: sixty steps on synthetic images, in seconds on one core. A smoke test: it learns nothing of use."""
    return RunConfig(
        data=DataConfig(uri="synthetic:512"),
        network=NetworkConfig(size="pico", image_size=32, patch_size=4, channels=1, mean=(0.35,), std=(0.3,)),
        optim=OptimConfig(batch_size=32, epochs=3.75, warmup=0.5, ema=0.99),
        run=ExecutionConfig(checkpoint_every=10, log_every=10),
    )


def fashion_mnist() -> RunConfig:
    """`ijepa train fashion-mnist`: the first of the bundled model's two runs, nano on 7x7 patches, 21 epochs of batches of 16.

    1 h 16 min on one core with AVX512-BF16. Reaches 90.2 % by linear probe of `last4-whitened` (untrained 83.4; plain `last4` 89.0,
    untrained 81.3) and 90.2 by k-NN (untrained 81.5; plain 87.3, untrained 71.4); the bundled model's card has how it was carried
    further. Small batches on purpose: features get better with steps, not with images
    (docs/experiments/2026-11-22-recipe-search.md).
    """
    return RunConfig(
        data=DataConfig(uri="fashion-mnist:train", crop_scale=(0.3, 1.0), flip=True),
        network=NetworkConfig(size="nano", image_size=28, patch_size=4, channels=1, mean=(0.286,), std=(0.353,)),
        masking=MultiBlockSettings(context_budget=0.35, target_scale=(0.1, 0.2)),
        optim=OptimConfig(
            batch_size=16,
            epochs=21,
            warmup=0.5,
            lr=7e-4,
            weight_decay=0.05,
            final_weight_decay=0.05,
            ema=0.996,
        ),
        run=ExecutionConfig(compile=True, workers=1),
    )


RECIPES: dict[str, Callable[[], RunConfig]] = {"debug": debug, "fashion-mnist": fashion_mnist}


PIXELS = ("channels", "mean", "std")
"""Settings of the network that depend on the images."""


def configure(name: str, assignments: Sequence[str], *, init: bool = False) -> RunConfig:
    """A recipe with `section.field=value` assignments applied.

    A recipe's channels, mean and std, and its intervals of logging and checkpoints, are those of its own images. With other
    images they are null unless assigned: inferred, ImageNet's, scaled to the run. With `init` (a run that starts from a
    checkpoint's weights) channels, mean and std are null unless assigned, too: those of the checkpoint.

    Raises:
        ConfigError: an unknown recipe or setting, or a value of the wrong kind.
    """
    if name not in RECIPES:
        raise ConfigError(f"unknown recipe {name!r}; the recipes are {', '.join(RECIPES)}")
    recipe = RECIPES[name]()
    config = override(recipe, list(assignments))
    assigned = {assignment.partition("=")[0] for assignment in assignments}
    other_images = config.data.uri != recipe.data.uri
    update: dict[str, Frozen] = {}
    if other_images or init:
        update["network"] = _without(config.network, "network", PIXELS, assigned)
    if other_images:
        update["run"] = _without(config.run, "run", ("log_every", "checkpoint_every"), assigned)
    return config.model_copy(update=update)


def assignments_for(config: RunConfig, recipe: str, of_init: Preprocessing | None) -> list[str]:
    """The assignments with which `configure(recipe, ...)` gives a configuration, but for the images' URI.

    `of_init` is the preprocessing of the checkpoint that the run starts from: what is equal to it is left out.
    """
    names = {section: getattr(config, section).name for section in FAMILIES}
    own = {section: getattr(RECIPES[recipe](), section).name for section in FAMILIES}
    given = {"data.uri": config.data.uri, **{f"{section}.name": name for section, name in names.items()}}
    assigned = [f"{name}={json.dumps(value)}" for name, value in given.items()]
    values = config.model_dump(mode="json")
    base = configure(recipe, assigned, init=of_init is not None).model_dump(mode="json")
    if of_init:
        saved = of_init.model_dump(mode="json")
        base["network"] |= {
            name: values["network"][name] for name in PIXELS if values["network"][name] in (None, saved[name])
        }
    for section, name in own.items():
        base[section]["name"] = name
    return _assignments(values, base, "")


def _assignments(values: dict[str, Any], base: dict[str, Any], prefix: str) -> list[str]:
    """`section.field=value` of each field that differs."""
    found = []
    for name, value in values.items():
        if isinstance(value, dict):
            found += _assignments(value, base[name], f"{name}.")
        elif value != base[name]:
            found.append(f"{prefix}{name}={json.dumps(value)}")
    return found


def _without(settings: S, section: str, fields: Sequence[str], assigned: Collection[str]) -> S:
    """Settings with fields null that were not assigned."""
    return settings.model_copy(update={field: None for field in fields if f"{section}.{field}" not in assigned})
