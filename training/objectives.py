"""How far predicted target tokens are off. `DISTANCES` is the table; the bundle names the one a model was trained with."""

from collections.abc import Callable
from functools import partial

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from training.config import ObjectiveConfig

Distance = Callable[[Tensor, Tensor], Tensor]


def smooth_l1(predicted: Float[Tensor, "*s D"], target: Float[Tensor, "*s D"], beta: float) -> Float[Tensor, ""]:
    """Mean over all numbers of the Huber-like loss of the published code (its beta is 1)."""
    return F.smooth_l1_loss(predicted, target, beta=beta)


def l2(predicted: Float[Tensor, "*s D"], target: Float[Tensor, "*s D"]) -> Float[Tensor, ""]:
    """Mean squared difference: equation 1 of the paper up to a constant factor."""
    return F.mse_loss(predicted, target)


DISTANCES: dict[str, Callable[[ObjectiveConfig], Distance]] = {
    "smooth_l1": lambda config: partial(smooth_l1, beta=config.beta),
    "l2": lambda _: l2,
}


def make_distance(config: ObjectiveConfig) -> Distance:
    """The distance that a configuration names."""
    return DISTANCES[config.distance](config)
