"""A job's own files, in the hidden folder `.job` of its output.

`polars.read_parquet(DIR)` reads every file below DIR that is not empty, hidden or not, and expects Parquet files with the same
columns everywhere. So each of these is one: it has the columns of the parts and no rows, and its content lies between the
first four bytes and the footer, where no reader looks. The other readers do not look into hidden folders at all.
"""

import errno
import fcntl
import io
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

from models.errors import ConfigError
from models.io import atomic_file

OWN = ".job"
SPEC, LISTING, SUCCESS, LOCK = "spec.parquet", "listing.parquet", "_SUCCESS.parquet", "lock"
MAGIC = 4
"""Bytes of the magic number at the beginning of a Parquet file."""
LENGTH = b"ijepa.content_bytes"


class JobFolder:
    """The files of one job. `schema` has the columns of its parts."""

    def __init__(self, out: Path, schema: pa.Schema) -> None:
        self.out, self.own, self._schema = out, out / OWN, schema

    def has(self, name: str) -> bool:
        """Whether a file is there."""
        return (self.own / name).exists()

    def write(self, name: str, content: bytes) -> None:
        """Write a file atomically."""
        file = io.BytesIO()
        pq.ParquetWriter(file, self._schema.with_metadata({LENGTH: str(len(content))})).close()
        empty = file.getvalue()
        with atomic_file(self.own / name) as temporary:
            temporary.write_bytes(empty[:MAGIC] + content + empty[MAGIC:])

    def read(self, name: str) -> bytes:
        """The content of a file.

        Raises:
            ConfigError: it cannot be read.
        """
        path = self.own / name
        try:
            length = int(pq.read_schema(path).metadata[LENGTH])
            return path.read_bytes()[MAGIC : MAGIC + length]
        except (OSError, KeyError, TypeError, ValueError, pa.ArrowException) as error:
            raise ConfigError(f"{path} is not readable ({error}); use another --out, or --overwrite") from error

    def delete(self, name: str) -> None:
        """Delete a file, if it is there."""
        (self.own / name).unlink(missing_ok=True)

    def delete_temporaries(self) -> None:
        """Delete what a killed process left half written."""
        for path in self.own.glob(".*.tmp"):
            path.unlink()

    def check_writable(self) -> None:
        """Check that the folder is one, or can be made, without making it.

        Raises:
            ConfigError: a file is in its place or above it, or it may not be written to.
        """
        nearest = next(path for path in (self.out, *self.out.absolute().parents) if path.exists())
        if not nearest.is_dir():
            raise ConfigError(f"{self.out} cannot be written to: {os.strerror(errno.ENOTDIR)}")
        if not os.access(nearest, os.W_OK | os.X_OK):
            raise ConfigError(f"{self.out} cannot be written to: {os.strerror(errno.EACCES)}")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder's lock, which the system drops when the process ends, however it ends.

        Raises:
            ConfigError: another process holds it, or the folder cannot be made.
        """
        try:
            self.own.mkdir(parents=True, exist_ok=True)
            lock = (self.own / LOCK).open("w")
        except OSError as error:
            raise ConfigError(f"{self.out} cannot be written to: {error.strerror}") from error
        with ExitStack() as stack:
            self._hold(stack.enter_context(lock))
            if (old := self.out / ".lock").exists():  # a process of version 0.1.0 may hold this one
                self._hold(stack.enter_context(old.open("r")))
            yield

    def _hold(self, lock: IO[str]) -> None:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConfigError(f"another job is running in {self.out}") from error
