"""Two runtimes as one: outputs and graphs for which the fast one is not accurate enough are computed by one in float32."""

from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np
from jaxtyping import Float32, Int64, UInt8

from models.bundle.manifest import CONTEXT, PREDICTOR
from models.runtimes.networks import Runtime


class RoutedRuntime:
    """See `Runtime`. The one in float32 is opened when one of its outputs is first asked for."""

    exact = True

    def __init__(self, fast: Runtime, open_float32: Callable[[], Runtime], float32_outputs: Sequence[str]) -> None:
        self._fast, self._open_float32, self._float32_outputs = fast, open_float32, frozenset(float32_outputs)
        self.name, self.precision, self.batch_size = fast.name, fast.precision, fast.batch_size

    def encode(self, pixels: UInt8[np.ndarray, "B H W C"], outputs: Sequence[str]) -> dict[str, np.ndarray]:
        """See `Networks.encode`."""
        exact = [name for name in outputs if name in self._float32_outputs]
        rest = [name for name in outputs if name not in self._float32_outputs]
        found = self._float32.encode(pixels, exact) if exact else {}
        return found | (self._fast.encode(pixels, rest) if rest else {})

    def encode_context(
        self, pixels: UInt8[np.ndarray, "B H W C"], context_ids: Int64[np.ndarray, "B K"]
    ) -> Float32[np.ndarray, "B K D"]:
        """See `Networks.encode_context`."""
        return self._of(CONTEXT).encode_context(pixels, context_ids)

    def predict(
        self,
        context_tokens: Float32[np.ndarray, "B K D"],
        context_ids: Int64[np.ndarray, "B K"],
        target_ids: Int64[np.ndarray, "B T"],
    ) -> Float32[np.ndarray, "B T D"]:
        """See `Networks.predict`."""
        return self._of(PREDICTOR).predict(context_tokens, context_ids, target_ids)

    def _of(self, graph: str) -> Runtime:
        return self._float32 if graph in self._float32_outputs else self._fast

    @cached_property
    def _float32(self) -> Runtime:
        return self._open_float32()
