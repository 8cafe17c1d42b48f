"""Named runs. Each docstring has the command, what it costs and the number it should reach."""

from collections.abc import Callable, Collection, Sequence
from typing import TypeVar

from models.config import Frozen
from models.errors import ConfigError
from training.config import DataConfig, ExecutionConfig, NetworkConfig, OptimConfig, RunConfig, override
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


def configure(name: str, assignments: Sequence[str]) -> RunConfig:
    """A recipe with `section.field=value` assignments applied.

    A recipe's channels, mean and std, and its intervals of logging and checkpoints, are those of its own images. With other
    images they are null unless assigned: inferred, ImageNet's, scaled to the run.

    Raises:
        ConfigError: an unknown recipe or setting, or a value of the wrong kind.
    """
    if name not in RECIPES:
        raise ConfigError(f"unknown recipe {name!r}; the recipes are {', '.join(RECIPES)}")
    recipe = RECIPES[name]()
    config = override(recipe, list(assignments))
    if config.data.uri == recipe.data.uri:
        return config
    assigned = {assignment.partition("=")[0] for assignment in assignments}
    return config.model_copy(
        update={
            "network": _without(config.network, "network", ("channels", "mean", "std"), assigned),
            "run": _without(config.run, "run", ("log_every", "checkpoint_every"), assigned),
        }
    )


def _without(settings: S, section: str, fields: Sequence[str], assigned: Collection[str]) -> S:
    """Settings with fields null that were not assigned."""
    return settings.model_copy(update={field: None for field in fields if f"{section}.{field}" not in assigned})
