"""The table of runtimes, and how one is chosen. There is no silent fallback."""

import importlib
from typing import ClassVar, NamedTuple, Protocol, cast, runtime_checkable

from models.bundle.reader import Bundle
from models.errors import ConfigError
from models.runtimes.networks import Runtime


@runtime_checkable
class RuntimeClass(Protocol):
    """What a member of the family is: made from a bundle, a precision that the bundle has, and a number of threads (0: its own choice).

    `fast_precision` is the one that it computes faster than float32.
    """

    fast_precision: ClassVar[str]

    def __call__(self, bundle: Bundle, precision: str = "float32", threads: int = 0) -> Runtime: ...

    def available(self) -> bool:
        """Whether this machine and installation have it."""
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
    "gpu": Member("models.runtimes.onnxruntime", "CUDARuntime"),
    "cpu": Member("models.runtimes.onnxruntime", "CPURuntime"),
    "fake": Member("models.runtimes.fake", "FakeRuntime"),
}
"""By name; `auto` is the first that is available."""


def open_runtime(name: str, bundle: Bundle, threads: int = 0, precision: str = "auto") -> Runtime:
    """A runtime by name, in a precision; see `select_precision` for its `auto`.

    Raises:
        ConfigError: an unknown name, a runtime that this machine does not have, or a precision that the bundle does not have.
    """
    if name == "auto":
        name = next(known for known, member in RUNTIMES.items() if member.load().available())
    if name not in RUNTIMES:
        raise ConfigError(f"runtime {name!r} is unknown; the runtimes are auto, {', '.join(RUNTIMES)}")
    runtime = RUNTIMES[name].load()
    return runtime(bundle, select_precision(runtime.fast_precision, bundle, precision), threads)


def select_precision(fast: str, bundle: Bundle, precision: str) -> str:
    """`auto` is the faster precision where the bundle has it and it is accurate enough (`accuracy_floor`), else float32.

    Raises:
        ConfigError: a precision that the bundle does not have.
    """
    manifest = bundle.manifest
    if precision == "auto":
        variant = manifest.variants.get(fast)
        return fast if variant and variant.worst >= manifest.accuracy_floor else "float32"
    if precision != "float32" and precision not in manifest.variants:
        raise ConfigError(
            f"bundle {manifest.id} has no precision {precision!r}; it has {', '.join(['float32', *manifest.variants])} "
            "(more are made by ijepa export --precision)"
        )
    return precision
