"""What a job writes: one Parquet file a shard, under a temporary name until it is whole."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from models.files import whole_file
from service.jobs.sources import Row


class Outcome(NamedTuple):
    """What came of one picture. `values` is None unless `status` is `ok`; sizes are those of the picture as seen."""

    row: Row
    sha256: str | None
    size: tuple[int, int] | None
    values: np.ndarray | None
    status: str
    error: str | None


class Shape(NamedTuple):
    """Numbers of one picture: how many, of which type, and the grid they lie on when there is one vector a patch."""

    length: int
    dtype: str
    grid: tuple[int, int] | None


def part_path(out: Path, shard: int) -> Path:
    """Where a shard's rows go."""
    return out / f"part-{shard:05d}.parquet"


def write_part(path: Path, outcomes: Sequence[Outcome], shape: Shape, metadata: dict[str, str]) -> None:
    """Write a shard, whole or not at all."""
    with whole_file(path) as temporary:
        pq.write_table(as_table(outcomes, shape, metadata), temporary)


def as_table(outcomes: Sequence[Outcome], shape: Shape, metadata: dict[str, str]) -> pa.Table:
    """The columns of the contract. Rows without numbers have null there."""
    failed = np.array([outcome.values is None for outcome in outcomes])
    values = np.zeros((len(outcomes), shape.length), dtype=shape.dtype)
    for row, outcome in zip(values, outcomes, strict=True):
        if outcome.values is not None:
            row[:] = outcome.values.reshape(-1)
    numbers = pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), shape.length, mask=pa.array(failed))
    columns: dict[str, pa.Array] = {
        "id": pa.array([outcome.row.id for outcome in outcomes], pa.string()),
        "uri": pa.array([outcome.row.uri for outcome in outcomes], pa.string()),
        "sha256": pa.array([outcome.sha256 for outcome in outcomes], pa.string()),
        "width": pa.array([outcome.size and outcome.size[0] for outcome in outcomes], pa.int32()),
        "height": pa.array([outcome.size and outcome.size[1] for outcome in outcomes], pa.int32()),
        "patches" if shape.grid else "embedding": numbers,
    }
    if shape.grid:
        columns |= {
            name: pa.array([side] * len(outcomes), pa.int32())
            for name, side in zip(("gh", "gw"), shape.grid, strict=True)
        }
    columns |= {
        "status": pa.array([outcome.status for outcome in outcomes], pa.string()),
        "error": pa.array([outcome.error for outcome in outcomes], pa.string()),
    }
    return pa.table(columns).replace_schema_metadata({f"ijepa.{key}": value for key, value in metadata.items()})


def statuses_of(path: Path) -> list[str]:
    """The status of each row of a part."""
    return pq.read_table(path, columns=["status"])["status"].to_pylist()
