"""Where a run computes: device, precision, compilation."""

import os
import shutil
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from models.errors import ConfigError
from models.network.ijepa import IJEPA


def pick_device(name: str) -> torch.device:
    """`auto` is the first CUDA device, else Apple's, else the CPU.

    Raises:
        ConfigError: a device that this machine does not have.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(
            f"run.device={name!r} cannot be used here ({str(error).splitlines()[0]}); try run.device=cpu"
        ) from error
    return device


def autocast(device: torch.device, precision: str) -> AbstractContextManager[Any]:
    """The context in which a network computes in `float32` or `bfloat16`."""
    return nullcontext() if precision == "float32" else torch.autocast(device.type, dtype=torch.bfloat16)


def compile_parts(model: IJEPA) -> None:
    """Compile each network for the shapes it meets: the predictor has one for each block area, which may exceed torch's limit.

    Raises:
        ConfigError: no C++ compiler, which torch.compile needs on a CPU.
    """
    if (
        next(model.parameters()).device.type == "cpu"
        and not shutil.which(os.environ.get("CXX", "g++"))
        and not shutil.which("clang++")
    ):
        raise ConfigError("run.compile=true needs a C++ compiler (g++), and none was found; use run.compile=false")
    torch._dynamo.config.recompile_limit = max(256, torch._dynamo.config.recompile_limit)
    for part in (model.context_encoder, model.target_encoder, model.predictor):
        part.compile(dynamic=False)
