"""Runtimes: what computes a bundle's graphs. `RUNTIMES` is the table; numpy in, numpy out, one call at a time."""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

from models.bundle import Bundle
from models.errors import ConfigError
from models.session import Networks
from service.runtimes.fake import FakeRuntime
from service.runtimes.onnxruntime import OnnxRuntime, available_providers


@runtime_checkable
class Runtime(Networks, Protocol):
    """A bundle ready to compute. `name` and `precision` are what `/v1/models` and job metadata say."""

    name: str
    precision: str


RUNTIMES: dict[str, Callable[[Bundle, str, int], Runtime]] = {
    "cpu": lambda bundle, precision, threads: OnnxRuntime(bundle, "CPUExecutionProvider", precision, threads),
    "gpu": lambda bundle, precision, threads: OnnxRuntime(bundle, "CUDAExecutionProvider", precision, threads),
    "fake": lambda bundle, *_: FakeRuntime(bundle),
}
FASTER = {"cpu": "int8", "gpu": "float16"}
"""The precision that a runtime computes faster than float32."""


def open_runtime(name: str, bundle: Bundle, threads: int = 0, precision: str = "auto") -> Runtime:
    """A runtime by name. `auto` is `gpu` where ONNX Runtime has CUDA, else `cpu`; see `pick_precision` for the other one.

    Raises:
        ConfigError: an unknown name, a runtime that this machine does not have, or a precision that the bundle does not. There
            is no silent fallback.
    """
    if name == "auto":
        name = "gpu" if "CUDAExecutionProvider" in available_providers() else "cpu"
    if name not in RUNTIMES:
        raise ConfigError(f"runtime {name!r} is unknown; the runtimes are auto, {', '.join(RUNTIMES)}")
    return RUNTIMES[name](bundle, pick_precision(name, bundle, precision), threads)


def pick_precision(runtime: str, bundle: Bundle, precision: str) -> str:
    """`auto` is the faster precision where the bundle has it and it is accurate enough (`accuracy_floor`), else float32.

    Raises:
        ConfigError: a precision that the bundle does not have.
    """
    manifest = bundle.manifest
    if precision == "auto":
        faster = FASTER.get(runtime, "float32")
        variant = manifest.variants.get(faster)
        return faster if variant and variant.worst >= manifest.accuracy_floor else "float32"
    if precision != "float32" and precision not in manifest.variants:
        raise ConfigError(
            f"bundle {manifest.id} has no precision {precision!r}; it has {', '.join(['float32', *manifest.variants])} "
            "(more are made by ijepa export --precision)"
        )
    return precision
