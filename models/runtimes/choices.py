"""What was measured of the ways to run a bundle, and the file that keeps it, so that the next start does not measure again."""

import hashlib
import json
import os
import platform
import re
from collections.abc import Sequence
from pathlib import Path

from pydantic import Field

from models.config import Frozen
from models.io import MAX_RECORD_BYTES, atomic_write, cache_folder, read_within

CACHE = "runtimes"
CPU_FLAGS = (
    "amx_bf16",
    "amx_int8",
    "avx512_bf16",
    "avx512_vnni",
    "avx_vnni",
    "avx512f",
    "avx2",
    "asimddp",
    "i8mm",
    "sve",
)
"""What decides which precision is fast."""


class Way(Frozen):
    """A runtime and a precision, and what was measured of them here.

    `images_per_second` is of the encoder, in batches of `batch_size`; None where it was not timed. `cosines` are mean-centred, to
    float32, by pooling and for the other two graphs by file; `cosine` is the lowest of what is computed in this precision, None
    for float32 and where it was not measured; `measured_on` names the images. `float32_outputs` are computed in float32, because
    here they are below `accuracy_floor` or were not measured. `problem` says why the way cannot be chosen.
    """

    runtime: str
    precision: str
    batch_size: int
    images_per_second: float | None = None
    cosine: float | None = None
    cosines: dict[str, float] = Field(default_factory=dict)
    measured_on: str | None = None
    float32_outputs: tuple[str, ...] = ()
    problem: str | None = None

    def __str__(self) -> str:
        """`openvino bfloat16 41 images/s (cosine 0.99995)`, and why not where it cannot be chosen."""
        speed = "" if self.images_per_second is None else f" {self.images_per_second:,.0f} images/s"
        cosine = "" if self.cosine is None else f" (cosine {self.cosine:.5f})"
        exact = f", {' and '.join(self.float32_outputs)} in float32" if self.float32_outputs else ""
        problem = "" if self.problem is None else f" not used: {self.problem}"
        return f"{self.runtime} {self.precision}{speed}{cosine}{exact}{problem}"


class Choice(Frozen):
    """The way that was chosen, and the others that there are, the fastest first."""

    chosen: Way
    others: tuple[Way, ...] = ()

    def sentence(self) -> str:
        """What was chosen and what the others would have given, in one line."""
        others = ", ".join(map(str, self.others))
        return f"{self.chosen}; others: {others}" if others else str(self.chosen)


def choice_key(bundle_sha256: str, ways: Sequence[tuple[str, str]], libraries: Sequence[str], threads: int) -> str:
    """A digest of everything that the answer depends on: machine, library versions, bundle, candidates, threads."""
    parts = [
        bundle_sha256,
        *(f"{runtime} {precision}" for runtime, precision in ways),
        *sorted(libraries),
        str(threads),
        machine(),
    ]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def machine() -> str:
    """CPU model, the flags that matter, cores that may be used, and GPUs."""
    try:
        cpuinfo = Path("/proc/cpuinfo").read_text()
    except OSError:
        cpuinfo = ""
    model = re.search(r"^model name\s*:\s*(.*)$", cpuinfo, re.MULTILINE)
    flags = re.search(r"^(?:flags|Features)\s*:\s*(.*)$", cpuinfo, re.MULTILINE)
    known = set(flags[1].split()) if flags else set()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    gpus = sorted(path.read_text() for path in Path("/proc/driver/nvidia/gpus").glob("*/information"))
    name = model[1] if model else platform.processor() or platform.machine()
    return f"{name}; {' '.join(flag for flag in CPU_FLAGS if flag in known)}; {cores} cores; {' '.join(gpus)}"


def read_choice(key: str) -> Choice | None:
    """What was kept; None where nothing was, or it cannot be read."""
    try:
        return Choice.model_validate_json(read_within(cache_folder() / CACHE / f"{key}.json", MAX_RECORD_BYTES))
    except (OSError, ValueError):
        return None


def keep_choice(key: str, choice: Choice) -> None:
    """Keep a choice. A folder that cannot be written to costs the next start the measuring, and nothing else."""
    path = cache_folder() / CACHE / f"{key}.json"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(path, json.dumps(choice.model_dump(), indent=2) + "\n")
    except OSError:
        return
