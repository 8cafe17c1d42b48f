"""The protocol of a runtime: what a bundle's three graphs compute, with numpy arrays in and out."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32, Int64, UInt8


@runtime_checkable
class Networks(Protocol):
    """What a bundle's three graphs compute, whatever computes it. Id -1 is padding; the tokens at padding are undefined."""

    def encode(self, pixels: UInt8[np.ndarray, "B H W C"], outputs: Sequence[str]) -> dict[str, np.ndarray]:
        """`tokens` [B, N, D] and poolings [B, D'] by name."""
        ...

    def encode_context(
        self, pixels: UInt8[np.ndarray, "B H W C"], context_ids: Int64[np.ndarray, "B K"]
    ) -> Float32[np.ndarray, "B K D"]:
        """Tokens of the kept patches."""
        ...

    def predict(
        self,
        context_tokens: Float32[np.ndarray, "B K D"],
        context_ids: Int64[np.ndarray, "B K"],
        target_ids: Int64[np.ndarray, "B T"],
    ) -> Float32[np.ndarray, "B T D"]:
        """One target block a row."""
        ...


@runtime_checkable
class Runtime(Networks, Protocol):
    """A bundle that is ready to compute. `name` and `precision` are what `/v1/models` and job metadata say.

    `exact` is False for a runtime whose outputs are not those of the bundle's graphs. `batch_size` is how many images it should get
    at once: more gain nothing. The runtime computes a batch on the whole device; `lane` computes one on its part of it, and serves
    as many calls at the same time as there are `lanes`. Where there is one, it is the runtime itself.
    """

    name: str
    precision: str
    exact: bool
    batch_size: int
    lanes: int

    @property
    def lane(self) -> Networks:
        """The same networks on one part of the device."""
        ...
