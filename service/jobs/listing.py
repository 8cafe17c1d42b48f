"""The rows of a job: fixed in its listing when it starts, and found in its sources each time it runs."""

import io
import itertools
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from models.errors import DataError
from models.images.sources.base import ListOptions, Source
from models.images.sources.table import open_source
from models.progress import Progress, no_progress


class Row(NamedTuple):
    """One image of a job: its id in the output, and where its bytes are."""

    id: str
    uri: str


class Sources:
    """The sources as they are now. Ids are those of the source, after its number and a slash where there are several."""

    def __init__(self, uris: Sequence[str], by_suffix: bool = False, progress: Progress = no_progress) -> None:
        """List them all.

        Raises:
            DataError: a source that cannot be listed, a name that is not UTF-8, or two images with the same id.
        """
        self.skipped: Counter[str] = Counter()
        self.rows: list[Row] = []
        self._sources: list[Source] = []
        self._ids: set[str] = set()
        for number, uri in enumerate(uris):
            source = open_source(uri, ListOptions(by_suffix), progress)
            self.skipped += source.skipped
            self._sources.append(source)
            prefix = f"{number}/" if len(uris) > 1 else ""
            for index in range(len(source)):
                item = source.item(index)
                row = _checked(Row(prefix + item.id, item.uri))
                if row.id in self._ids:
                    raise DataError(f"two images of {uri} have the id {row.id!r}; rename one")
                self.rows.append(row)
                self._ids.add(row.id)

    def __contains__(self, row_id: str) -> bool:
        """Whether an image is there, in today's listing or not."""
        if row_id in self._ids:
            return True
        source, item_id = self._find(row_id)
        return source.has(item_id)

    def read(self, row_id: str) -> bytes:
        """The encoded bytes of an image of the job's listing, which today's listing may leave out.

        Raises:
            DataError: it is not there any more, or cannot be read.
        """
        source, item_id = self._find(row_id)
        return source.read_id(item_id)

    def _find(self, row_id: str) -> tuple[Source, str]:
        if len(self._sources) == 1:
            return self._sources[0], row_id
        number, _, item_id = row_id.partition("/")
        return self._sources[int(number)], item_id


class Listing(NamedTuple):
    """The rows of a job in the order of the output, and the shard of each."""

    rows: list[Row]
    shards: list[int]

    def by_shard(self) -> dict[int, list[Row]]:
        """The rows of every shard."""
        pairs = zip(self.shards, self.rows, strict=True)
        return {shard: [row for _, row in group] for shard, group in itertools.groupby(pairs, key=lambda pair: pair[0])}

    def extended(self, rows: Sequence[Row], shard_rows: int) -> "Listing":
        """With more rows, in new shards."""
        first = max(self.shards, default=-1) + 1
        return Listing([*self.rows, *rows], [*self.shards, *(first + i // shard_rows for i in range(len(rows)))])


class Changes(NamedTuple):
    """How sources differ from a listing: rows that it does not have, and rows of it that they do not have."""

    new: list[Row]
    gone: list[Row]


def changes_of(listing: Listing, sources: Sources) -> Changes:
    """Compare by id; a file with other bytes under the same name is not a change."""
    listed = {row.id for row in listing.rows}
    return Changes(
        [row for row in sources.rows if row.id not in listed], [row for row in listing.rows if row.id not in sources]
    )


def listing_to_bytes(listing: Listing) -> bytes:
    """A Parquet file with the columns `id`, `uri` and `shard`."""
    columns = {
        "id": pa.array([row.id for row in listing.rows], pa.string()),
        "uri": pa.array([row.uri for row in listing.rows], pa.string()),
        "shard": pa.array(listing.shards, pa.int32()),
    }
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file)
    return file.getvalue()


def listing_from_bytes(data: bytes) -> Listing:
    """What `listing_to_bytes` made."""
    table = pq.read_table(io.BytesIO(data))
    pairs = zip(table["id"].to_pylist(), table["uri"].to_pylist(), strict=True)
    return Listing([Row(*pair) for pair in pairs], table["shard"].to_pylist())


def _checked(row: Row) -> Row:
    try:
        f"{row.id}{row.uri}".encode()
    except UnicodeEncodeError as error:
        raise DataError(f"the file name {row.uri!r} is not UTF-8; rename the file") from error
    return row
