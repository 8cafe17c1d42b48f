"""TensorRT through ONNX Runtime. Engines are built once for all shapes of a graph, which takes minutes, and kept.

It is used when it is named, never chosen by itself.
"""

from models.bundle.manifest import CONTEXT, ENCODER
from models.bundle.reader import Bundle
from models.io import cache_folder
from models.runtimes.onnxruntime import TENSORRT, OnnxRuntime

MAX_ROWS = 64
"""Of a batch."""


class TensorRTRuntime(OnnxRuntime):
    """See `Runtime`. float16 takes the bundle's float16 graphs."""

    provider, device = TENSORRT, None
    computes = ("float32", "float16")

    def settings(self, graph: str) -> dict[str, str]:
        """One engine for all shapes, in the user's cache."""
        folder = cache_folder() / "tensorrt" / self._bundle.sha256[:16]
        folder.mkdir(parents=True, exist_ok=True)
        return {
            "trt_fp16_enable": str(int(self.precision == "float16")),
            "trt_engine_cache_enable": "1",
            "trt_engine_cache_path": str(folder),
            **profile(graph, self._bundle),
        }


def profile(graph: str, bundle: Bundle) -> dict[str, str]:
    """The smallest, usual and largest shapes of a graph's inputs, in TensorRT's notation `name:1x224x224x3,...`."""
    encoder, preprocessing = bundle.manifest.model.encoder, bundle.manifest.model.pixels
    patches = encoder.patches
    profiles = {}
    for name, rows, kept, block in (
        ("min", 1, 1, 1),
        ("opt", 8, patches // 2, patches // 6),
        ("max", MAX_ROWS, patches, patches),
    ):
        kept, block = max(1, kept), max(1, block)
        pixels = {"pixels": (rows, *preprocessing.size, preprocessing.channels)}
        context = {"context_ids": (rows, kept)}
        inputs: dict[str, tuple[int, ...]]
        if graph == ENCODER:
            inputs = {**pixels}
        elif graph == CONTEXT:
            inputs = {**pixels, **context}
        else:
            inputs = {"context_tokens": (rows, kept, encoder.width), **context, "target_ids": (rows, block)}
        shapes = (f"{key}:{'x'.join(map(str, shape))}" for key, shape in inputs.items())
        profiles[f"trt_profile_{name}_shapes"] = ",".join(shapes)
    return profiles
