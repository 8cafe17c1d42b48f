"""Two runtimes as one: outputs and graphs for which the fast one is not accurate enough are computed by one in float32."""

import threading
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float32, Int64, UInt8

from models.bundle.manifest import CONTEXT, PREDICTOR
from models.runtimes.networks import Networks, Runtime


class RoutedNetworks:
    """See `Networks`."""

    def __init__(self, fast: Networks, float32: Callable[[], Networks], float32_outputs: Sequence[str]) -> None:
        self._fast, self._float32, self._float32_outputs = fast, float32, frozenset(float32_outputs)

    def encode(self, pixels: UInt8[np.ndarray, "B H W C"], outputs: Sequence[str]) -> dict[str, np.ndarray]:
        """See `Networks.encode`."""
        exact = [name for name in outputs if name in self._float32_outputs]
        rest = [name for name in outputs if name not in self._float32_outputs]
        found = self._float32().encode(pixels, exact) if exact else {}
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

    def _of(self, graph: str) -> Networks:
        return self._float32() if graph in self._float32_outputs else self._fast


class RoutedRuntime(RoutedNetworks):
    """See `Runtime`. The one in float32 is opened when one of its outputs is first asked for."""

    exact = True

    def __init__(self, fast: Runtime, open_float32: Callable[[], Runtime], float32_outputs: Sequence[str]) -> None:
        super().__init__(fast, self._open, float32_outputs)
        self.name, self.precision = fast.name, fast.precision
        self.batch_size, self.lanes = fast.batch_size, fast.lanes
        self.lane = RoutedNetworks(fast.lane, lambda: self._open().lane, float32_outputs)
        self._open_float32, self._opening = open_float32, threading.Lock()
        self._opened: Runtime | None = None

    def _open(self) -> Runtime:
        with self._opening:
            if self._opened is None:
                self._opened = self._open_float32()
            return self._opened
