"""ONNX Runtime, on a CPU or a CUDA device."""

import onnxruntime as ort

from models.bundle import Bundle
from models.session import BundleSessions


class OnnxRuntime(BundleSessions):
    """See `Runtime`."""

    def __init__(self, bundle: Bundle, provider: str, precision: str, threads: int) -> None:
        super().__init__(bundle, provider, precision, threads)
        self.name = f"onnxruntime {ort.__version__} {provider.removesuffix('ExecutionProvider')}"
        self.precision = precision


def available_providers() -> list[str]:
    """What this build of ONNX Runtime can use."""
    return ort.get_available_providers()
