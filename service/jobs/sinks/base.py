"""What a sink is: it writes the rows of a job, a shard at a time. The columns are the same for every sink."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import pyarrow as pa

from models.bundle.manifest import Manifest
from service.jobs.listing import Row
from service.operations.base import EmbedOptions
from service.operations.embed import pooling_of


class Outcome(NamedTuple):
    """What came of one image. `values` is None unless `status` is `ok`; `size` is (width, height) of the image as seen."""

    row: Row
    sha256: str | None
    size: tuple[int, int] | None
    values: np.ndarray | None
    status: str
    error: str | None


class Shape(NamedTuple):
    """The values of one image: how many, of which type, and their grid when there is one vector a patch."""

    length: int
    dtype: str
    grid: tuple[int, int] | None


class Sink(Protocol):
    """A file format of jobs. A shard may be several files; it is complete when the file that `path` names is there."""

    def path(self, folder: Path, shard: int) -> Path:
        """The file of a shard that appears last, atomically."""
        ...

    def files(self, folder: Path) -> list[Path]:
        """All files that this sink has written to the folder, temporary ones too."""
        ...

    def write(self, folder: Path, shard: int, rows: pa.Table) -> None:
        """Write a shard: the columns of `schema_of`, with the job's metadata in the schema."""
        ...

    def statuses(self, folder: Path, shard: int) -> list[str]:
        """The column `status` of a shard."""
        ...

    def how_to_read(self, folder: Path) -> str:
        """One line of Python that reads all rows."""
        ...


def shape_of(manifest: Manifest, options: EmbedOptions) -> Shape:
    """The shape of one image's values."""
    encoder = manifest.model.encoder
    if options.output == "patches":
        return Shape(encoder.patches * encoder.width, options.dtype, encoder.grid)
    return Shape(manifest.poolings[pooling_of(manifest, options)], options.dtype, None)


def schema_of(shape: Shape, metadata: dict[str, str]) -> pa.Schema:
    """The columns of a job's rows."""
    values = pa.list_(pa.field("element", pa.from_numpy_dtype(np.dtype(shape.dtype))), shape.length)
    columns = [
        ("id", pa.string()),
        ("uri", pa.string()),
        ("sha256", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("patches" if shape.grid else "embedding", values),
        *([("gh", pa.int32()), ("gw", pa.int32())] if shape.grid else []),
        ("status", pa.string()),
        ("error", pa.string()),
    ]
    return pa.schema(columns, {f"ijepa.{key}": value for key, value in metadata.items()})


def as_table(outcomes: Sequence[Outcome], shape: Shape, metadata: dict[str, str]) -> pa.Table:
    """Outcomes as the columns of `schema_of`. A row that is not `ok` has null for its values."""
    schema = schema_of(shape, metadata)
    failed = np.array([outcome.values is None for outcome in outcomes])
    values = np.zeros((len(outcomes), shape.length), dtype=shape.dtype)
    for row, outcome in zip(values, outcomes, strict=True):
        if outcome.values is not None:
            row[:] = outcome.values.reshape(-1)
    vectors = pa.FixedSizeListArray.from_arrays(
        pa.array(values.reshape(-1)), type=schema.field(5).type, mask=pa.array(failed)
    )
    grid = [[side] * len(outcomes) for side in shape.grid or ()]
    columns = [
        [outcome.row.id for outcome in outcomes],
        [outcome.row.uri for outcome in outcomes],
        [outcome.sha256 for outcome in outcomes],
        [outcome.size and outcome.size[0] for outcome in outcomes],
        [outcome.size and outcome.size[1] for outcome in outcomes],
        vectors,
        *grid,
        [outcome.status for outcome in outcomes],
        [outcome.error for outcome in outcomes],
    ]
    arrays = [
        column if isinstance(column, pa.Array) else pa.array(column, field.type)
        for column, field in zip(columns, schema, strict=True)
    ]
    return pa.Table.from_arrays(arrays, schema=schema)
