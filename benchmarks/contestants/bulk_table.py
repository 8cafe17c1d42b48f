"""The contestants over a folder of photographs: how each is started."""

import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

CORES = os.cpu_count() or 1
MODULE = "-m benchmarks.contestants.{} {{folder}} {{out}}"


class BulkContestant(NamedTuple):
    """A command to measure: `arguments` of Python, with `{folder}` and `{out}` filled in."""

    arguments: str
    setting: str
    environment: Mapping[str, str] = MappingProxyType({})
    ours: bool = False


BULK_CONTESTANTS: dict[str, BulkContestant] = {
    "ours": BulkContestant("-m ijepa embed {folder} --bundle {bundle} --out {out}/job", "as installed", ours=True),
    "timm-dataloader-bfloat16": BulkContestant(
        MODULE.format("bulk_timm"), f"{CORES} workers, batch 32", {"WORKERS": str(CORES)}
    ),
    "transformers-pipeline-bfloat16": BulkContestant(
        MODULE.format("bulk_transformers"), f"{CORES} workers, batch 32", {"WORKERS": str(CORES)}
    ),
    "fastembed-float32": BulkContestant(MODULE.format("bulk_fastembed"), "one process, batch 16"),
    "fastembed-parallel-float32": BulkContestant(
        MODULE.format("bulk_fastembed"), "parallel=0: a process a core, batch 16", {"PARALLEL": "0"}
    ),
    "raydata-bfloat16": BulkContestant(
        MODULE.format("bulk_raydata"), "read_images, map, map_batches of 32 in 1 actor of 1 core", {"ACTORS": "1"}
    ),
}
"""By name; `ours` is the one that the others are compared with."""
