"""The table of runtimes, and the names that mean the fastest of a device."""

import importlib
from typing import ClassVar, NamedTuple, Protocol, cast, runtime_checkable

from models.bundle.reader import Bundle
from models.errors import ConfigError
from models.runtimes.networks import Runtime


@runtime_checkable
class RuntimeClass(Protocol):
    """What a member of the family is: made from a bundle, a precision and a number of threads (0: its own choice).

    `device` is `cpu` or `gpu`; a member with None is never chosen, only named.
    """

    device: ClassVar[str | None]

    def __call__(self, bundle: Bundle, precision: str = "float32", threads: int = 0) -> Runtime: ...

    def available(self) -> bool:
        """Whether this machine and installation have it."""
        ...

    def precisions(self) -> tuple[str, ...]:
        """In which it computes here, float32 first. Those that need graphs of their own need a bundle that has them."""
        ...

    def library(self) -> str:
        """Name and version of what computes."""
        ...


class Member(NamedTuple):
    """Where a runtime lives. Its module, and the library below it, are imported when it is asked for."""

    module: str
    name: str

    def load(self) -> RuntimeClass:
        """The runtime's class.

        Raises:
            ConfigError: its library is not installed.
        """
        try:
            return cast(RuntimeClass, getattr(importlib.import_module(self.module), self.name))
        except ModuleNotFoundError as error:
            raise ConfigError(
                f"the package {error.name} is not installed; install the extra 'cpu' or 'gpu' of ijepa-features"
            ) from error


RUNTIMES: dict[str, Member] = {
    "openvino": Member("models.runtimes.openvino", "OpenVINORuntime"),
    "onnxruntime": Member("models.runtimes.onnxruntime", "CPURuntime"),
    "cuda": Member("models.runtimes.onnxruntime", "CUDARuntime"),
    "tensorrt": Member("models.runtimes.tensorrt", "TensorRTRuntime"),
    "fake": Member("models.runtimes.fake", "FakeRuntime"),
}

GROUPS: dict[str, tuple[str, ...]] = {"auto": ("gpu", "cpu"), "cpu": ("cpu",), "gpu": ("gpu",)}
"""Names that mean the fastest of some devices. The first device that has an available runtime counts."""

RUNTIME_NAMES = (*GROUPS, *RUNTIMES)


def load_runtimes(name: str) -> dict[str, RuntimeClass]:
    """The runtimes that a name means: the one of this name, or all available ones of the group's device.

    Raises:
        ConfigError: an unknown name, a library that is not installed, or a device for which nothing is available.
    """
    if name in RUNTIMES:
        return {name: RUNTIMES[name].load()}
    if name not in GROUPS:
        raise ConfigError(f"runtime {name!r} is unknown; the runtimes are {', '.join(RUNTIME_NAMES)}")
    installed = _installed()
    for device in GROUPS[name]:
        found = {known: each for known, each in installed.items() if each.device == device and each.available()}
        if found:
            return found
    raise ConfigError(
        f"no runtime for {name} is available here; install the extra 'cpu' or 'gpu' of ijepa-features"
        " ('gpu' needs an NVIDIA GPU and its driver)"
    )


def _installed() -> dict[str, RuntimeClass]:
    """The members whose libraries are installed."""
    found = {}
    for name, member in RUNTIMES.items():
        try:
            found[name] = member.load()
        except ConfigError:
            continue
    return found
