"""Parquet files as row groups that are read one by one, of which the last few are kept."""

import os
import threading
from collections import OrderedDict
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from jaxtyping import Int64

from models.errors import DataError, first_line
from models.images import storage
from models.images.sources.encoded import check_image_bytes
from models.images.sources.parquet_schema import Columns, find_columns

MAX_FOOTER_BYTES = 2**27
"""Of the description at the end of a file."""
MAX_GROUP_BYTES = 2**31 - 2**20
"""Of the images of one row group, decompressed, as its file states them."""
KEPT_BYTES = 2**29
"""Row groups that were read last are kept up to this size in all; one is kept whatever its size."""

ERRORS = (pa.ArrowException, OSError, ValueError, KeyError, EOFError)
"""What pyarrow raises on a damaged file."""


class ParquetInfo(NamedTuple):
    """What is known of a file: its description, columns, and the rows of each row group."""

    place: str
    metadata: pq.FileMetaData
    columns: Columns
    rows: Int64[np.ndarray, " g"]


def read_info(place: str) -> ParquetInfo:
    """The description of a file.

    Raises:
        DataError: it is damaged, too large, not a Parquet file, or has no images.
    """
    shown = storage.shown_place(place)
    size = storage.size_of(place)
    tail = storage.read_range(place, max(0, size - 8), min(8, size))
    length = int.from_bytes(tail[:4], "little")
    if tail[4:] != b"PAR1" or length > size:
        raise DataError(f"{shown} is not a complete Parquet file")
    if length > MAX_FOOTER_BYTES:
        raise DataError(f"{shown} has a description of {length:,} bytes, at most {MAX_FOOTER_BYTES:,} are read")
    try:
        with storage.open_file(place) as file, pq.ParquetFile(file) as parquet:
            metadata, schema = parquet.metadata, parquet.schema_arrow
    except ERRORS as error:
        raise DataError(f"{shown} is a damaged Parquet file: {first_line(error)}") from error
    rows = np.array([metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)], dtype=np.int64)
    return ParquetInfo(place, metadata, find_columns(schema, shown), rows)


def read_column(info: ParquetInfo, groups: list[int], column: str) -> pa.Array:
    """One column of some row groups, or one field of a struct. A new reader each time, since one cannot be shared between threads.

    Raises:
        DataError: it cannot be read.
    """
    try:
        with storage.open_file(info.place) as file, pq.ParquetFile(file, metadata=info.metadata) as parquet:
            array = parquet.read_row_groups(groups, columns=[column], use_threads=False).column(0)
        if pa.types.is_struct(array.type):
            array = pc.struct_field(array, [0])
        return pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], array.type)
    except ERRORS as error:
        raise DataError(f"{storage.shown_place(info.place)} is a damaged Parquet file: {first_line(error)}") from error


class RowGroups:
    """Images by row: file, row group and position in it. The row groups that were read last are kept."""

    def __init__(self, files: list[ParquetInfo]) -> None:
        self.files = files
        counts = [len(info.rows) for info in files]
        self.file = np.repeat(np.arange(len(files)), counts)
        self.group = np.concatenate([np.arange(count) for count in counts])
        rows = np.concatenate([info.rows for info in files])
        self.firsts = np.cumsum(rows) - rows
        self._reset()

    def __getstate__(self) -> dict[str, object]:
        return {name: value for name, value in self.__dict__.items() if not name.startswith("_")}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        self._reset()

    def _reset(self) -> None:
        """Nothing is kept; locks of another process, which nothing would release, are replaced."""
        self._process, self._lock = os.getpid(), threading.Lock()
        self._kept: OrderedDict[int, pa.Array] = OrderedDict()
        self._reading: dict[int, threading.Lock] = {}

    def uri(self, index: int) -> str:
        """See `Places.uri`."""
        number, _ = self._find(index)
        info = self.files[self.file[number]]
        before = self.firsts[np.searchsorted(self.file, self.file[number])]
        return f"{storage.shown_place(info.place)}#{index - int(before):08d}"

    def read(self, index: int) -> bytes:
        """See `Places.read`."""
        number, position = self._find(index)
        cell = self._group(number)[position]
        if not cell.is_valid:
            raise DataError(f"{self.uri(index)} has no bytes")
        buffer = cell.as_buffer()
        check_image_bytes(buffer.size, self.uri(index))
        return bytes(buffer)

    def _find(self, index: int) -> tuple[int, int]:
        """The row group of an image and its position in it."""
        number = int(np.searchsorted(self.firsts, index, side="right")) - 1
        return number, index - int(self.firsts[number])

    def _group(self, number: int) -> pa.Array:
        """The images of a row group; threads that want the same one wait for the first."""
        if self._process != os.getpid():
            self._reset()
        with self._lock:
            if number in self._kept:
                self._kept.move_to_end(number)
                return self._kept[number]
            reading = self._reading.setdefault(number, threading.Lock())
        with reading:
            with self._lock:
                if number in self._kept:
                    return self._kept[number]
            images = self._read_group(number)
            with self._lock:
                self._kept[number] = images
                self._reading.pop(number, None)
                while len(self._kept) > 1 and sum(each.nbytes for each in self._kept.values()) > KEPT_BYTES:
                    self._kept.popitem(last=False)
            return images

    def _read_group(self, number: int) -> pa.Array:
        info, group = self.files[self.file[number]], int(self.group[number])
        described = info.metadata.row_group(group)
        chunks = (described.column(i) for i in range(described.num_columns))
        stated = sum(each.total_uncompressed_size for each in chunks if each.path_in_schema == info.columns.image)
        if stated > MAX_GROUP_BYTES:
            raise DataError(
                f"{storage.shown_place(info.place)} has a row group of {stated:,} bytes, at most {MAX_GROUP_BYTES:,} are read"
            )
        images = read_column(info, [group], info.columns.image)
        if len(images) != int(info.rows[group]):
            raise DataError(f"{storage.shown_place(info.place)} is damaged: row group {group} has {len(images)} rows")
        return images
