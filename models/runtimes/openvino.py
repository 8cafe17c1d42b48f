"""OpenVINO on a CPU: float32, bfloat16 where the CPU has it, and a bundle's int8.

bfloat16 runs the float32 graph. With int8, what is not quantised runs in bfloat16 where the CPU has it.
"""

import sys
import threading
import time
from collections.abc import Mapping, Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float32, Int64, UInt8

from models.bundle.manifest import CONTEXT, ENCODER, PREDICTOR
from models.bundle.reader import Bundle
from models.errors import BundleError, ConfigError, RuntimeFailure

# On import OpenVINO sends an event to its makers, through this package. Where the package is missing it sends nothing.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
import openvino as ov  # noqa: E402
from openvino import opset13  # noqa: E402

DEVICE = "CPU"
HINTS = {"float32": "f32", "bfloat16": "bf16"}
"""OpenVINO's names of the precisions of what a graph leaves open."""


@cache
def _core() -> ov.Core:
    """The one of this process: it loads the plugin of the device."""
    return ov.Core()


@cache
def _has_bfloat16() -> bool:
    """Whether the CPU multiplies in bfloat16 (AVX512-BF16 or AMX)."""
    return "BF16" in _core().get_property(DEVICE, "OPTIMIZATION_CAPABILITIES")


class Graph:
    """One compiled graph. `precision` is that of what the graph leaves open; `threads` 0 leaves the count to OpenVINO.

    The first run of a shape takes some 30 ms longer (ViT-S/16); what was prepared for it is kept.
    """

    def __init__(self, path: Path, precision: str, threads: int = 0) -> None:
        # One stream with all cores: the scheduler runs one batch at a time.
        settings: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": precision}
        if threads:
            settings["INFERENCE_NUM_THREADS"] = threads
        try:
            compiled = _core().compile_model(_core().read_model(path), DEVICE, settings)
        except RuntimeError as error:
            raise BundleError(f"{path} cannot be loaded by OpenVINO: {_first_line(error)}") from error
        self._request = compiled.create_infer_request()
        self._busy = threading.Lock()

    def run(self, outputs: Sequence[str], inputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        """Copies of the named outputs, in the order asked for. Outputs that are not asked for are not copied."""
        with self._busy:
            try:
                self._request.start_async(
                    {name: np.ascontiguousarray(values) for name, values in inputs.items()}, share_inputs=True
                )
                self._request.wait()
                return [self._request.get_tensor(name).data.copy() for name in outputs]
            except RuntimeError as error:
                raise RuntimeFailure(
                    f"OpenVINO could not compute {', '.join(outputs)}: {_first_line(error)}"
                ) from error


class OpenVINORuntime:
    """See `Runtime`. The context encoder and the predictor are compiled when they are first used."""

    device: ClassVar[str | None] = "cpu"
    exact = True
    batch_size = 1

    def __init__(self, bundle: Bundle, precision: str = "float32", threads: int = 0) -> None:
        if precision not in self.precisions():
            raise ConfigError(
                f"OpenVINO cannot compute in {precision} on this CPU; it can in {', '.join(self.precisions())}"
            )
        self.name, self.precision = f"{self.library()} {DEVICE}", precision
        self._bundle, self._threads = bundle, threads
        self._encoder = self._open(ENCODER)

    @classmethod
    def available(cls) -> bool:
        """See `RuntimeClass.available`."""
        return DEVICE in _core().available_devices

    @classmethod
    def precisions(cls) -> tuple[str, ...]:
        """See `RuntimeClass.precisions`."""
        return ("float32", "int8", "bfloat16") if _has_bfloat16() else ("float32", "int8")

    @classmethod
    def library(cls) -> str:
        """See `RuntimeClass.library`."""
        return f"openvino {ov.__version__.partition('-')[0]}"

    def encode(self, pixels: UInt8[np.ndarray, "B H W C"], outputs: Sequence[str]) -> dict[str, np.ndarray]:
        """See `Networks.encode`."""
        return dict(zip(outputs, self._encoder.run(outputs, {"pixels": pixels}), strict=True))

    def encode_context(
        self, pixels: UInt8[np.ndarray, "B H W C"], context_ids: Int64[np.ndarray, "B K"]
    ) -> Float32[np.ndarray, "B K D"]:
        """See `Networks.encode_context`."""
        return self._context.run(["context_tokens"], {"pixels": pixels, "context_ids": context_ids})[0]

    def predict(
        self,
        context_tokens: Float32[np.ndarray, "B K D"],
        context_ids: Int64[np.ndarray, "B K"],
        target_ids: Int64[np.ndarray, "B T"],
    ) -> Float32[np.ndarray, "B T D"]:
        """See `Networks.predict`."""
        inputs = {"context_tokens": context_tokens, "context_ids": context_ids, "target_ids": target_ids}
        return self._predictor.run(["predicted"], inputs)[0]

    @cached_property
    def _context(self) -> Graph:
        return self._open(CONTEXT)

    @cached_property
    def _predictor(self) -> Graph:
        return self._open(PREDICTOR)

    def _open(self, name: str) -> Graph:
        fast = _has_bfloat16() and self.precision != "float32"
        return Graph(self._bundle.path(name, self.precision), HINTS["bfloat16" if fast else "float32"], self._threads)


def matrix_product_flops(precision: str, size: int, seconds: float, products: int = 4) -> float:
    """FLOP a second of products of square matrices in a precision of `OpenVINORuntime.precisions`, on all cores.

    Several products in a row, so that the conversion of the input from float32 is a small part. The fastest of the runs
    within some seconds.
    """
    random = np.random.default_rng(0)
    left = random.normal(size=(size, size)).astype(np.float32)
    weights = opset13.constant((random.normal(size=(size, size)) / np.sqrt(size)).astype(np.float32))
    last = first = opset13.parameter([size, size], ov.Type.f32)
    for _ in range(products):
        last = opset13.matmul(last, weights, False, False)
    settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": HINTS[precision]}
    request = _core().compile_model(ov.Model([last], [first]), DEVICE, settings).create_infer_request()
    fastest, until = float("inf"), time.perf_counter() + seconds
    request.infer([left], share_inputs=True)
    while fastest == float("inf") or time.perf_counter() < until:
        start = time.perf_counter()
        request.infer([left], share_inputs=True)
        fastest = min(fastest, time.perf_counter() - start)
    return products * 2 * size**3 / fastest


def _first_line(error: RuntimeError) -> str:
    """OpenVINO's messages begin with the place in its own source, which is not for users."""
    lines = [line for line in str(error).splitlines() if line and not line.startswith(("Exception from", "Check "))]
    return lines[0] if lines else str(error)
