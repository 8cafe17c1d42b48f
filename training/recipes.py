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
    """placeholder"""
    return RunConfig(
        data=DataConfig(uri="fashion-mnist:train"),
        network=NetworkConfig(size="nano", image_size=28, patch_size=4, channels=1, mean=(0.286,), std=(0.353,)),
        masking=MaskingConfig(),
        optim=OptimConfig(batch_size=256, epochs=30, warmup=1.5, ema=0.99),
        run=ExecutionConfig(log_every=100, checkpoint_every=500),
    )


RECIPES: dict[str, Callable[[], RunConfig]] = {"debug": debug, "fashion-mnist": fashion_mnist}
