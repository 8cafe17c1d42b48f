"""I-JEPA's objective: predict the target encoder's tokens of the target blocks from the context (paper, section 3)."""

from collections.abc import Callable
from functools import partial
from typing import Annotated, Literal

from jaxtyping import Float
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from models.network.ijepa import IJEPA
from training.families import MemberSettings
from training.monitors import explained_variance
from training.objectives.base import MaskIds

Distance = Callable[[Tensor, Tensor], Tensor]


class LatentSettings(MemberSettings):
    """`distance` is smooth L1 (parameter `beta`) as in the published code, or the paper's squared distance."""

    name: Literal["latent"] = "latent"
    distance: Literal["smooth_l1", "l2"] = "smooth_l1"
    beta: Annotated[float, Field(gt=0)] = 1.0


def smooth_l1(predicted: Float[Tensor, "*s D"], target: Float[Tensor, "*s D"], beta: float) -> Float[Tensor, ""]:
    """Mean over all elements of the Huber-like loss of the published code (its beta is 1)."""
    return F.smooth_l1_loss(predicted, target, beta=beta)


def l2(predicted: Float[Tensor, "*s D"], target: Float[Tensor, "*s D"]) -> Float[Tensor, ""]:
    """Mean squared difference: equation 1 of the paper up to a constant factor."""
    return F.mse_loss(predicted, target)


DISTANCES: dict[str, Callable[[LatentSettings], Distance]] = {
    "smooth_l1": lambda config: partial(smooth_l1, beta=config.beta),
    "l2": lambda _: l2,
}


class Latent:
    """The mean distance between predicted and actual tokens, which are layer-normed and get no gradient."""

    settings = LatentSettings
    logs: tuple[str, ...] = ("explained_variance",)

    def __init__(self, config: LatentSettings) -> None:
        self.distance = DISTANCES[config.distance](config)

    def __call__(
        self, model: IJEPA, images: Float[Tensor, "B C H W"], masks: MaskIds
    ) -> tuple[Float[Tensor, ""], dict[str, Float[Tensor, ""]]]:
        """See `Objective.__call__`."""
        targets = model.encode_targets(images, masks.targets)
        context = model.encode_context(images, masks.context)
        predicted = model.predict(context, masks.context, masks.targets).float()
        loss = self.distance(predicted, targets)
        return loss, {"explained_variance": explained_variance(predicted.detach(), targets)}
