"""The smallest wrapper around ONNX Runtime: numpy in, numpy out. Export, probes and the service build on it."""

import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime as ort

from models.errors import BundleError, ConfigError, RuntimeFailure

Array = np.ndarray
CUDA = "CUDAExecutionProvider"
NO_CUDA = (
    f"{CUDA} was asked for, but ONNX Runtime cannot use it here: there is no GPU, or the driver or one of CUDA's libraries is "
    "missing (install the extra 'gpu' and NVIDIA's driver, or say --runtime cpu)"
)


class Session:
    """One graph on one provider. `threads` 0 leaves the count to ONNX Runtime. Threads sleep, not spin, between runs."""

    def __init__(self, path: Path, provider: str = "CPUExecutionProvider", threads: int = 0) -> None:
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
