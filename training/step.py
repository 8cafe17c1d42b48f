"""One step of I-JEPA, on one screen. It knows no data loading and no logging."""

from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from models.encoder import normalise
from models.ijepa import IJEPA
from training.ema import follow
from training.objectives import Distance
from training.optim import set_rates
from training.schedules import Rates


class StepResult(NamedTuple):
    """What a step leaves for the log, still on its device."""

    loss: Float[Tensor, ""]
    skill: Float[Tensor, ""]


def train_step(
    model: IJEPA,
    optimizer: torch.optim.Optimizer,
    distance: Distance,
    pixels: UInt8[Tensor, "B H W C"],
    context_ids: Int64[Tensor, "B K"],
    target_ids: Int64[Tensor, "B M T"],
    rates: Rates,
    autocast: AbstractContextManager[Any],
) -> StepResult:
    """Predict the target encoder's tokens of the target blocks from the context, learn from the error, let the target follow."""
    images = normalise(pixels, model.config.pixels)
    with autocast:
        targets = model.encode_targets(images, target_ids)
        context = model.encode_context(images, context_ids)
        predicted = model.predict(context, context_ids, target_ids).float()
    loss = distance(predicted, targets)

    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    set_rates(optimizer, rates)
    optimizer.step()
    follow(model.target_encoder, model.context_encoder, rates.ema)
    return StepResult(loss.detach(), skill(predicted.detach(), targets))


def skill(predicted: Float[Tensor, "B M T D"], targets: Float[Tensor, "B M T D"]) -> Float[Tensor, ""]:
    """The share of the targets' variance that the prediction explains: 0 for always saying their mean, 1 for no error."""
    variance = (targets - targets.mean(dim=(0, 1, 2))).square().mean()
    return 1 - (predicted - targets).square().mean() / variance.clamp_min(1e-12)
