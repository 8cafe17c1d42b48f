"""OpenVINO on a CPU: float32, bfloat16 where the CPU has it, and a bundle's int8.

bfloat16 runs the float32 graph. With int8, what is not quantised runs in bfloat16 where the CPU has it.
"""

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from queue import SimpleQueue
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
MAX_PARTS = 8
"""Into which the cores are divided."""


@cache
def _core() -> ov.Core:
    """The one of this process: it loads the plugin of the device."""
    return ov.Core()


@cache
def _has_bfloat16() -> bool:
    """Whether the CPU multiplies in bfloat16 (AVX512-BF16 or AMX)."""
    return "BF16" in _core().get_property(DEVICE, "OPTIMIZATION_CAPABILITIES")


class Graph:
    """One graph, compiled twice: for few rows on all cores, and for rows on parts of the cores.

    Cores that share one row wait for each other in every layer; each with rows of its own they do not, which is worth 10 to 30 %
    for small batches. The results are the same to the bit. `precision` is that of what the graph leaves open; `threads` 0 leaves
    the count to OpenVINO. The first run of a shape takes some 30 ms longer (ViT-S/16); what was prepared for it is kept.
    """

    def __init__(self, path: Path, precision: str, threads: int = 0) -> None:
        settings: dict[str, Any] = {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": threads}
        try:
            graph = _core().read_model(path)
            whole = _core().compile_model(graph, DEVICE, settings | {"PERFORMANCE_HINT": "LATENCY"})
            settings["INFERENCE_NUM_THREADS"] = whole.get_property("INFERENCE_NUM_THREADS")
            self.parts = min(settings["INFERENCE_NUM_THREADS"], MAX_PARTS)
            split = _core().compile_model(graph, DEVICE, settings | {"NUM_STREAMS": self.parts})
        except RuntimeError as error:
            raise BundleError(f"{path} cannot be loaded by OpenVINO: {_first_line(error)}") from error
        self._whole = whole.create_infer_request()
        self._split = [split.create_infer_request() for _ in range(self.parts)]
        self._lanes = SimpleQueue[ov.InferRequest]()
        for _ in range(self.parts):
            self._lanes.put(split.create_infer_request())
        self._busy = threading.Lock()

    def run(self, outputs: Sequence[str], inputs: Mapping[str, np.ndarray], lane: bool = False) -> list[np.ndarray]:
        """Copies of the named outputs, in the order asked for. Outputs that are not asked for are not copied.

        Runs on all cores, one call after the other, or in a `lane`: on one part of the cores, as many calls at once as there are.
        """
        if lane:
            request = self._lanes.get()
            try:
                return _run([request], outputs, inputs)
            finally:
                self._lanes.put(request)
        with self._busy:
            rows = len(next(iter(inputs.values())))
            return _run(self._split if rows >= self.parts else [self._whole], outputs, inputs)


def _run(
    requests: Sequence[ov.InferRequest], outputs: Sequence[str], inputs: Mapping[str, np.ndarray]
) -> list[np.ndarray]:
    """The rows in as many parts as there are requests."""
    parts = {name: np.array_split(np.ascontiguousarray(each), len(requests)) for name, each in inputs.items()}
    try:
        for i, request in enumerate(requests):
            request.start_async({name: parts[name][i] for name in parts}, share_inputs=True)
        for request in requests:
            request.wait()
        return [np.concatenate([each.get_tensor(name).data for each in requests]) for name in outputs]
    except RuntimeError as error:
        _wait_for(requests)
        raise RuntimeFailure(f"OpenVINO could not compute {', '.join(outputs)}: {_first_line(error)}") from error


def _wait_for(requests: Sequence[ov.InferRequest]) -> None:
    """Until none of them runs any more, however they end."""
    for request in requests:
        with contextlib.suppress(RuntimeError):
            request.wait()


class OpenVINONetworks:
    """See `Networks`. The context encoder and the predictor are compiled when they are first used."""

    def __init__(self, graphs: Callable[[str], Graph], lane: bool) -> None:
        self._graph, self._in_lane = graphs, lane

    def encode(self, pixels: UInt8[np.ndarray, "B H W C"], outputs: Sequence[str]) -> dict[str, np.ndarray]:
        """See `Networks.encode`."""
        return dict(zip(outputs, self._run(ENCODER, outputs, {"pixels": pixels}), strict=True))

    def encode_context(
        self, pixels: UInt8[np.ndarray, "B H W C"], context_ids: Int64[np.ndarray, "B K"]
    ) -> Float32[np.ndarray, "B K D"]:
        """See `Networks.encode_context`."""
        return self._run(CONTEXT, ["context_tokens"], {"pixels": pixels, "context_ids": context_ids})[0]

    def predict(
        self,
        context_tokens: Float32[np.ndarray, "B K D"],
        context_ids: Int64[np.ndarray, "B K"],
        target_ids: Int64[np.ndarray, "B T"],
    ) -> Float32[np.ndarray, "B T D"]:
        """See `Networks.predict`."""
        inputs = {"context_tokens": context_tokens, "context_ids": context_ids, "target_ids": target_ids}
        return self._run(PREDICTOR, ["predicted"], inputs)[0]

    def _run(self, graph: str, outputs: Sequence[str], inputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        return self._graph(graph).run(outputs, inputs, self._in_lane)


class OpenVINORuntime(OpenVINONetworks):
    """See `Runtime`."""

    device: ClassVar[str | None] = "cpu"
    exact = True
    batch_size = 1

    def __init__(self, bundle: Bundle, precision: str = "float32", threads: int = 0) -> None:
        if precision not in self.precisions():
            raise ConfigError(
                f"OpenVINO cannot compute in {precision} on this CPU; it can in {', '.join(self.precisions())}"
            )
        super().__init__(self._open, lane=False)
        self.name, self.precision = f"{self.library()} {DEVICE}", precision
        self._bundle, self._threads = bundle, threads
        self._opening = threading.Lock()
        self._graphs: dict[str, Graph] = {}
        self.lanes = self._open(ENCODER).parts
        self.lane = OpenVINONetworks(self._open, lane=True)

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

    def _open(self, name: str) -> Graph:
        """One of the three graphs, compiled once."""
        with self._opening:
            if name not in self._graphs:
                fast = _has_bfloat16() and self.precision != "float32"
                path = self._bundle.path(name, self.precision)
                self._graphs[name] = Graph(path, HINTS["bfloat16" if fast else "float32"], self._threads)
            return self._graphs[name]


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
