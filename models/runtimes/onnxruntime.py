"""ONNX Runtime, on a CPU or a CUDA device (by CUDA or TensorRT)."""

import contextlib
import sys
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar

import numpy as np
import onnxruntime as ort
from jaxtyping import Float32, Int64, UInt8

from models.bundle.manifest import CONTEXT, ENCODER, PREDICTOR
from models.bundle.reader import Bundle
from models.errors import BundleError, ConfigError, RuntimeFailure

Array = np.ndarray
CPU, CUDA, TENSORRT = "CPUExecutionProvider", "CUDAExecutionProvider", "TensorrtExecutionProvider"
UNUSABLE = (
    "{} was asked for, but ONNX Runtime cannot use it here: there is no GPU, or the driver or one of {}'s libraries is "
    "missing (install the extra 'gpu' and NVIDIA's driver{}, or say --runtime cpu)"
)


class Session:
    """One graph on one provider. `threads` 0 leaves the count to ONNX Runtime. Threads sleep, not spin, between runs.

    `settings` are the provider's own.
    """

    def __init__(
        self, path: Path, provider: str = CPU, threads: int = 0, settings: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        if provider not in ort.get_available_providers():
            raise ConfigError(
                f"ONNX Runtime here has no {provider}; it has {', '.join(ort.get_available_providers())}"
                " (for CUDA install the extra 'gpu' in place of 'cpu', on a machine with an NVIDIA GPU)"
            )
        if provider != CPU:
            with contextlib.redirect_stdout(sys.stderr):
                ort.preload_dlls()  # CUDA and cuDNN as packages of this environment, where there are such
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        if path.with_name(
            f"{path.name}.data"
        ).exists():  # stay mapped from the file: repacked weights would be a copy in memory
            options.add_session_config_entry("session.disable_prepacking", "1")
        try:
            self._session = ort.InferenceSession(
                str(path), options, providers=[(provider, dict(settings))], enable_fallback=0
            )
        except Exception as error:
            if provider != CPU and any(name in str(error) for name in ("CUDA", "TensorRT", "nvinfer")):
                raise ConfigError(_unusable(provider)) from error
            raise BundleError(f"{path} cannot be loaded by ONNX Runtime: {error}") from error
        if self._session.get_providers()[0] != provider:
            raise ConfigError(_unusable(provider))
        self.inputs = tuple(value.name for value in self._session.get_inputs())
        self.outputs = tuple(value.name for value in self._session.get_outputs())

    def run(self, outputs: Sequence[str], **inputs: Array) -> list[Array]:
        """The named outputs, in the order asked for."""
        try:
            results: list[Array] = self._session.run(list(outputs), inputs)
        except Exception as error:
            raise RuntimeFailure(f"ONNX Runtime could not compute {', '.join(outputs)}: {error}") from error
        return results


def _unusable(provider: str) -> str:
    library = "TensorRT" if provider == TENSORRT else "CUDA"
    return UNUSABLE.format(provider, library, " and TensorRT" if provider == TENSORRT else "")


class OnnxRuntime:
    """A `Runtime`: all graphs of a bundle in one precision on one provider.

    The context encoder and the predictor are loaded when they are first used.
    """

    provider: ClassVar[str]
    device: ClassVar[str | None]
    computes: ClassVar[tuple[str, ...]]
    exact = True
    batch_size = 1
    lanes = 1

    def __init__(self, bundle: Bundle, precision: str = "float32", threads: int = 0) -> None:
        self.name = f"{self.library()} {self.provider.removesuffix('ExecutionProvider')}"
        self.precision = precision
        self._bundle, self._threads = bundle, threads
        self._encoder = self._open(ENCODER)

    @classmethod
    def available(cls) -> bool:
        """Whether this build of ONNX Runtime has the provider."""
        return cls.provider in ort.get_available_providers()

    @classmethod
    def precisions(cls) -> tuple[str, ...]:
        """See `RuntimeClass.precisions`."""
        return cls.computes

    @classmethod
    def library(cls) -> str:
        """See `RuntimeClass.library`."""
        return f"onnxruntime {ort.__version__}"

    def settings(self, graph: str) -> dict[str, str]:  # noqa: ARG002
        """The provider's settings for a graph."""
        return {}

    @property
    def lane(self) -> "OnnxRuntime":
        """See `Runtime`."""
        return self

    def encode(self, pixels: UInt8[np.ndarray, "B H W C"], outputs: Sequence[str]) -> dict[str, np.ndarray]:
        """See `Networks.encode`."""
        return dict(zip(outputs, self._encoder.run(outputs, pixels=pixels), strict=True))

    def encode_context(
        self, pixels: UInt8[np.ndarray, "B H W C"], context_ids: Int64[np.ndarray, "B K"]
    ) -> Float32[np.ndarray, "B K D"]:
        """See `Networks.encode_context`."""
        return self._context.run(["context_tokens"], pixels=pixels, context_ids=context_ids)[0]

    def predict(
        self,
        context_tokens: Float32[np.ndarray, "B K D"],
        context_ids: Int64[np.ndarray, "B K"],
        target_ids: Int64[np.ndarray, "B T"],
    ) -> Float32[np.ndarray, "B T D"]:
        """See `Networks.predict`."""
        inputs = {"context_tokens": context_tokens, "context_ids": context_ids, "target_ids": target_ids}
        return self._predictor.run(["predicted"], **inputs)[0]

    @cached_property
    def _context(self) -> Session:
        return self._open(CONTEXT)

    @cached_property
    def _predictor(self) -> Session:
        return self._open(PREDICTOR)

    def _open(self, graph: str) -> Session:
        return Session(self._bundle.path(graph, self.precision), self.provider, self._threads, self.settings(graph))


class CPURuntime(OnnxRuntime):
    """ONNX Runtime on a CPU."""

    provider, device = CPU, "cpu"
    computes = ("float32", "int8", "float16")


class CUDARuntime(OnnxRuntime):
    """ONNX Runtime on a CUDA device."""

    provider, device = CUDA, "gpu"
    computes = ("float32", "float16")

    def settings(self, graph: str) -> dict[str, str]:  # noqa: ARG002
        """float32 means float32: no TF32."""
        return {"use_tf32": "0"}
