"""What an objective is."""

from typing import Any, NamedTuple, Protocol, runtime_checkable

from jaxtyping import Float, Int64
from torch import Tensor

from models.network.ijepa import IJEPA


class MaskIds(NamedTuple):
    """`training.masking.base.Masks` on the device of the network."""

    context: Int64[Tensor, "B K"]
    targets: Int64[Tensor, "B M T"]


@runtime_checkable
class Objective(Protocol):
    """From a batch to a loss. It runs inside the step's autocast and calls the parts of the network by their attributes.

    `logs` are the names of the values that it returns beside the loss, which are columns of the run's log.
    """

    logs: tuple[str, ...]

    def __call__(
        self, model: IJEPA, images: Float[Tensor, "B C H W"], masks: MaskIds
    ) -> tuple[Float[Tensor, ""], dict[str, Float[Tensor, ""]]]:
        """The loss, with its graph, and the values of `logs`, without."""
        ...


@runtime_checkable
class ObjectiveType(Protocol):
    """A line of the table: a class with its settings' class, made from settings."""

    settings: type[Any]

    def __call__(self, config: Any) -> Objective: ...
