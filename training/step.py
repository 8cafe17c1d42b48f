"""One step of training. It knows no data loading, no logging and no distribution.

The parts of the network are called as plain attributes (`context_encoder`, `predictor`, `target_encoder`), so each can be
replaced by a wrapper of it (DDP, FSDP) before the first step.
"""

from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from models.network.encoder import normalise
from models.network.ijepa import IJEPA
from training.ema import ema_update
from training.objectives.base import MaskIds, Objective
from training.optim import set_rates
from training.schedules import Rates


class StepResult(NamedTuple):
    """The loss and the objective's other values, on their device."""

    loss: Float[Tensor, ""]
    logs: dict[str, Tensor]


def train_step(
    model: IJEPA,
    optimizer: torch.optim.Optimizer,
    objective: Objective,
    pixels: UInt8[Tensor, "B H W C"],
    masks: MaskIds,
    rates: Rates,
    autocast: AbstractContextManager[Any],
) -> StepResult:
    """Forward, backward, AdamW on context encoder and predictor, EMA on the target encoder."""
    images = normalise(pixels, model.config.pixels)
    with autocast:
        loss, logs = objective(model, images, masks)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    set_rates(optimizer, rates)
    optimizer.step()
    ema_update(model.target_encoder, model.context_encoder, rates.ema)
    return StepResult(loss.detach(), logs)
