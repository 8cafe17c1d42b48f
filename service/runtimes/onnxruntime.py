"""ONNX Runtime, on a CPU or a CUDA device."""

from collections.abc import Sequence

import numpy as np
import onnxruntime as ort
from jaxtyping import Float32, Int64, UInt8

from models.bundle import CONTEXT, ENCODER, PREDICTOR, Bundle
from models.session import Session


class OnnxRuntime:
    """See `Runtime`."""

    def __init__(self, bundle: Bundle, provider: str, precision: str, threads: int) -> None:
        self.name = f"onnxruntime {ort.__version__} {provider.removesuffix('ExecutionProvider')}"
        self.precision = precision
        self._encoder = Session(bundle.path(ENCODER, precision), provider, threads)
        if bundle.manifest.predicts:
            self._context = Session(bundle.path(CONTEXT, precision), provider, threads)
            self._predictor = Session(bundle.path(PREDICTOR, precision), provider, threads)

    def encode(self, pixels: UInt8[np.ndarray, "B H W C"], outputs: Sequence[str]) -> dict[str, np.ndarray]:
        """See `Runtime.encode`."""
        return dict(zip(outputs, self._encoder.run(outputs, pixels=pixels), strict=True))

    def encode_context(
        self, pixels: UInt8[np.ndarray, "B H W C"], context_ids: Int64[np.ndarray, "B K"]
    ) -> Float32[np.ndarray, "B K D"]:
        """See `Runtime.encode_context`."""
        return self._context.run(["context_tokens"], pixels=pixels, context_ids=context_ids)[0]

    def predict(
        self,
        context_tokens: Float32[np.ndarray, "B K D"],
        context_ids: Int64[np.ndarray, "B K"],
        target_ids: Int64[np.ndarray, "B T"],
    ) -> Float32[np.ndarray, "B T D"]:
        """See `Runtime.predict`."""
        inputs = {"context_tokens": context_tokens, "context_ids": context_ids, "target_ids": target_ids}
        return self._predictor.run(["predicted"], **inputs)[0]


def available_providers() -> list[str]:
    """What this build of ONNX Runtime can use."""
    return ort.get_available_providers()
