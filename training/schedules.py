"""Learning rate, weight decay and EMA momentum: pure functions of the step, so a run resumes by asking for the next one."""

import math
from typing import NamedTuple

from training.config import OptimConfig


class Rates(NamedTuple):
    """What the schedules give for one step."""

    lr: float
    weight_decay: float
    ema: float


def rates_at(step: int, steps: int, warmup: int, config: OptimConfig) -> Rates:
    """The three values for a step counted from 0, of a run of `steps` with `warmup` steps of linear rise.

    The learning rate rises linearly and falls as a half cosine; weight decay rises as a half cosine, as in the published
    code (the paper says linearly); the momentum rises linearly (paper, appendix A.1).
    """
    done = step / steps
    if step < warmup:
        lr = config.start_lr + (config.lr - config.start_lr) * step / warmup
    else:
        lr = half_cosine(config.lr, config.final_lr, (step - warmup) / max(1, steps - warmup))
    return Rates(
        lr=lr,
        weight_decay=half_cosine(config.weight_decay, config.final_weight_decay, done),
        ema=config.ema + (config.final_ema - config.ema) * done,
    )


def half_cosine(start: float, end: float, share: float) -> float:
    """From `start` at share 0 to `end` at share 1, flat at both ends."""
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2
