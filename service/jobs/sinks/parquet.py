"""`parquet`: one Parquet file a shard, `part-00017.parquet`."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from models.io import atomic_file


class Parquet:
    """See `Sink`."""

    def path(self, folder: Path, shard: int) -> Path:
        """See `Sink.path`."""
        return folder / f"part-{shard:05d}.parquet"

    def files(self, folder: Path) -> list[Path]:
        """See `Sink.files`."""
        return [*folder.glob("part-[0-9]*.parquet"), *folder.glob(".part-[0-9]*.parquet.tmp")]

    def write(self, folder: Path, shard: int, rows: pa.Table) -> None:
        """See `Sink.write`."""
        with atomic_file(self.path(folder, shard)) as temporary:
            pq.write_table(rows, temporary)

    def statuses(self, folder: Path, shard: int) -> list[str]:
        """See `Sink.statuses`."""
        return pq.read_table(self.path(folder, shard), columns=["status"])["status"].to_pylist()

    def how_to_read(self, folder: Path) -> str:
        """See `Sink.how_to_read`."""
        return f"pandas.read_parquet({str(folder)!r})"
