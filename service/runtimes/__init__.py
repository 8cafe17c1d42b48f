"""Runtimes: what computes a bundle's graphs. `RUNTIMES` is the table; numpy in, numpy out, one call at a time."""

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32, Int64, UInt8

from models.bundle import Bundle
from models.errors import ConfigError
from service.runtimes.fake import FakeRuntime
from service.runtimes.onnxruntime import OnnxRuntime, available_providers


@runtime_checkable
class Runtime(Protocol):
    """A bundle ready to compute. `name` is what `/v1/models` and job metadata say."""

    name: str

    def encode(self, pixels: UInt8[np.ndarray, "B H W C"], outputs: Sequence[str]) -> dict[str, np.ndarray]:
        """`tokens` [B, N, D] and poolings [B, D'] by name."""
        ...

    def encode_context(
        self, pixels: UInt8[np.ndarray, "B H W C"], context_ids: Int64[np.ndarray, "B K"]
    ) -> Float32[np.ndarray, "B K D"]:
        """Tokens of the kept patches; id -1 is padding."""
        ...

    def predict(
        self,
        context_tokens: Float32[np.ndarray, "B K D"],
        context_ids: Int64[np.ndarray, "B K"],
        target_ids: Int64[np.ndarray, "B T"],
    ) -> Float32[np.ndarray, "B T D"]:
        """One target block a row; id -1 is padding."""
        ...


RUNTIMES: dict[str, Callable[[Bundle, int], Runtime]] = {
    "cpu": lambda bundle, threads: OnnxRuntime(bundle, "CPUExecutionProvider", threads),
    "gpu": lambda bundle, threads: OnnxRuntime(bundle, "CUDAExecutionProvider", threads),
    "fake": lambda bundle, _: FakeRuntime(bundle),
}


def open_runtime(name: str, bundle: Bundle, threads: int = 0) -> Runtime:
    """A runtime by name. `auto` is `gpu` where ONNX Runtime has CUDA, else `cpu`.

    Raises:
        ConfigError: an unknown name, or a runtime that this machine does not have. There is no silent fallback.
    """
    if name == "auto":
        name = "gpu" if "CUDAExecutionProvider" in available_providers() else "cpu"
    if name not in RUNTIMES:
        raise ConfigError(f"runtime {name!r} is unknown; the runtimes are auto, {', '.join(RUNTIMES)}")
    return RUNTIMES[name](bundle, threads)
