"""Named runs. Each docstring has the command, what it costs and the number it should reach."""

from collections.abc import Callable

from training.config import DataConfig, ExecutionConfig, MaskingConfig, NetworkConfig, OptimConfig, RunConfig


def debug() -> RunConfig:
    """`ijepa train debug`: sixty steps on made-up pictures. Seconds on one core; shows that everything works, nothing else."""
    return RunConfig(
        data=DataConfig(uri="synthetic:512"),
        network=NetworkConfig(size="pico", image_size=32, patch_size=4, channels=1, mean=(0.35,), std=(0.3,)),
        optim=OptimConfig(batch_size=32, epochs=3.75, warmup=0.5, ema=0.99),
        run=ExecutionConfig(checkpoint_every=10, log_every=10),
    )


def fashion_mnist() -> RunConfig:
    """`ijepa train fashion-mnist`: the first of the runs that made the bundled model, nano on 7x7 patches, 24 epochs of batches of 32.

    1 h 24 min on one core with AVX512-BF16. Reaches 88.6 % by linear probe of mean-pooled features (untrained 77.9), 89.1 of
    the last four blocks' (untrained 81.4), 87.1 by k-NN; the bundled model's card has how it was carried further. Small batches on
    purpose: on the same pictures, four times as many steps were worth three points of linear probe (docs/log.md).
    """
    return RunConfig(
        data=DataConfig(uri="fashion-mnist:train", crop_scale=(0.4, 1.0)),
        network=NetworkConfig(size="nano", image_size=28, patch_size=4, channels=1, mean=(0.286,), std=(0.353,)),
        masking=MaskingConfig(context_budget=0.35),
        optim=OptimConfig(
            batch_size=32,
            epochs=24,
            warmup=0.5,
            lr=1e-3,
            weight_decay=0.05,
            final_weight_decay=0.05,
            ema=0.996,
        ),
        run=ExecutionConfig(compile=True, workers=1, log_every=500, checkpoint_every=2500),
    )


RECIPES: dict[str, Callable[[], RunConfig]] = {"debug": debug, "fashion-mnist": fashion_mnist}
