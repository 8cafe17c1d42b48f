"""The machine, and the fastest matrix products that it reaches: what a network could be computed with at best."""

import os
import platform
import time
from importlib.metadata import PackageNotFoundError, version

import numpy as np

from models.runtimes.choices import machine
from service.bench.record import Machine

SIZE = 2048
MAX_LOAD = 0.5
"""Mean number of running threads in the minute before, above which the machine is not idle."""
PACKAGES = ("ijepa-features", "openvino", "onnxruntime", "onnxruntime-gpu", "numpy", "pillow", "uvicorn", "uvloop")


def measure_machine(seconds: float, size: int = SIZE) -> Machine:
    """Each precision takes `seconds`, and at least one product of two `size` x `size` matrices."""
    peaks = {"float32": numpy_product_flops(size, seconds) / 1e9}
    if (bfloat16 := _bfloat16_product_flops(size, seconds)) is not None:
        peaks["bfloat16"] = bfloat16 / 1e9
    return Machine(description=machine().strip("; "), versions=installed_versions(), gemm_gflops=peaks)


def numpy_product_flops(size: int, seconds: float) -> float:
    """FLOP a second in float32: the fastest of the runs within some seconds."""
    left, right = np.random.default_rng(0).normal(size=(2, size, size)).astype(np.float32)
    fastest, until = float("inf"), time.perf_counter() + seconds
    left @ right
    while fastest == float("inf") or time.perf_counter() < until:
        start = time.perf_counter()
        left @ right
        fastest = min(fastest, time.perf_counter() - start)
    return 2 * size**3 / fastest


def _bfloat16_product_flops(size: int, seconds: float) -> float | None:
    """None where the CPU has no bfloat16 or OpenVINO is not installed."""
    try:
        from models.runtimes.openvino import OpenVINORuntime, matrix_product_flops
    except ModuleNotFoundError:
        return None
    return matrix_product_flops("bfloat16", size, seconds) if "bfloat16" in OpenVINORuntime.precisions() else None


def check_idle(notes: list[str]) -> None:
    """Note that other programs run, where the system says so. Called before anything is measured."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    if load > MAX_LOAD:
        notes.append(
            f"other programs were running, so the figures are too low: the load average was {load:.1f} at the start"
        )


def installed_versions() -> dict[str, str]:
    """Of Python and of those packages that are installed."""
    versions = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions
