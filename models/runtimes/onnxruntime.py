"""ONNX Runtime, on a CPU or a CUDA device."""

import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import onnxruntime as ort
from jaxtyping import Float32, Int64, UInt8

from models.bundle.manifest import CONTEXT, ENCODER, PREDICTOR
from models.bundle.reader import Bundle
from models.errors import BundleError, ConfigError, RuntimeFailure

Array = np.ndarray
CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
NO_CUDA = (
    f"{CUDA} was asked for, but ONNX Runtime cannot use it here: there is no GPU, or the driver or one of CUDA's libraries is "
    "missing (install the extra 'gpu' and NVIDIA's driver, or say --runtime cpu)"
)


class Session:
    """One graph on one provider. `threads` 0 leaves the count to ONNX Runtime. Threads sleep, not spin, between runs."""

    def __init__(self, path: Path, provider: str = CPU, threads: int = 0) -> None:
        if provider not in ort.get_available_providers():
            raise ConfigError(
                f"ONNX Runtime here has no {provider}; it has {', '.join(ort.get_available_providers())}"
                " (for CUDA install the extra 'gpu' in place of 'cpu', on a machine with an NVIDIA GPU)"
            )
        if provider == CUDA:
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
        settings = {"use_tf32": "0"} if provider == CUDA else {}
        try:
            self._session = ort.InferenceSession(
                str(path), options, providers=[(provider, settings)], enable_fallback=0
            )
        except Exception as error:
            if provider == CUDA and "CUDA" in str(error):
                raise ConfigError(NO_CUDA) from error
            raise BundleError(f"{path} cannot be loaded by ONNX Runtime: {error}") from error
        if self._session.get_providers()[0] != provider:
            raise ConfigError(NO_CUDA)
        self.inputs = tuple(value.name for value in self._session.get_inputs())
        self.outputs = tuple(value.name for value in self._session.get_outputs())

    def run(self, outputs: Sequence[str], **inputs: Array) -> list[Array]:
        """The named outputs, in the order asked for."""
        try:
            results: list[Array] = self._session.run(list(outputs), inputs)
        except Exception as error:
            raise RuntimeFailure(f"ONNX Runtime could not compute {', '.join(outputs)}: {error}") from error
        return results


class OnnxRuntime:
    """A `Runtime`: all graphs of a bundle in one precision on one provider."""

    provider: ClassVar[str]
    exact = True

    def __init__(self, bundle: Bundle, precision: str = "float32", threads: int = 0) -> None:
        self.name = f"onnxruntime {ort.__version__} {self.provider.removesuffix('ExecutionProvider')}"
        self.precision = precision
        self._encoder = Session(bundle.path(ENCODER, precision), self.provider, threads)
        if bundle.manifest.predicts:
            self._context = Session(bundle.path(CONTEXT, precision), self.provider, threads)
            self._predictor = Session(bundle.path(PREDICTOR, precision), self.provider, threads)

    @classmethod
    def available(cls) -> bool:
        """Whether this build of ONNX Runtime has the provider."""
        return cls.provider in ort.get_available_providers()

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


class CPURuntime(OnnxRuntime):
    """ONNX Runtime on a CPU."""

    provider = CPU
    fast_precision: ClassVar[str] = "int8"


class CUDARuntime(OnnxRuntime):
    """ONNX Runtime on a CUDA device."""

    provider = CUDA
    fast_precision: ClassVar[str] = "float16"
