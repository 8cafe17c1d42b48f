"""Local paths and URLs of stores (`s3://`, `gs://`, `hf://`, `http://`, ...): list, stat, read a part.

A place is either. Local places never use the network. No handle is kept between calls, so all of this is safe in threads and
after a fork.
"""

import hashlib
import io
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from fsspec.spec import AbstractFileSystem

from models.errors import DataError
from models.images import remote
from models.images.remote import shown
from models.io import sha256_of

MAX_FILE_BYTES = 2**31
"""Of a file that is read whole."""
BLOCK_BYTES = 2**20
"""Remote files that are read in order are read in blocks of this size."""
STREAM_BYTES = 2**23
"""Where all of a file is read."""

_URL = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*(?:::.*)?://")
_VERSION_KEYS = (
    "ETag",
    "etag",
    "md5Hash",
    "crc32c",
    "Content-MD5",
    "checksum",
    "blob_id",
    "created",
    "Last-Modified",
    "LastModified",
    "mtime",
)
"""What stores call the version of a file."""


class Entry(NamedTuple):
    """A file or folder in a folder."""

    name: str
    is_folder: bool


def is_url(place: str) -> bool:
    """Whether a place is in a store. `file://` is a local path."""
    return bool(_URL.match(place)) and not place.startswith("file://")


def local_path(place: str) -> Path:
    """The path of a place that is not a URL."""
    return Path(place.removeprefix("file://"))


def parent_of(place: str) -> str:
    """The folder that a place is in."""
    return place.rpartition("/")[0] if is_url(place) else str(local_path(place).parent)


def shown_place(place: str) -> str:
    """A place for messages and results: a URL without what may be secret in it."""
    return shown(place) if is_url(place) else place


def name_of(place: str) -> str:
    """The last part of a place, without a query."""
    return shown(place).rstrip("/").rpartition("/")[2] if is_url(place) else local_path(place).name


def join(folder: str, name: str) -> str:
    """The place of a name, with slashes where it is deeper, in a folder."""
    return f"{folder.rstrip('/')}/{name}" if is_url(folder) else str(local_path(folder) / name)


def exists(place: str) -> bool:
    """Whether there is a file or folder.

    Raises:
        DataError: the store cannot be asked.
    """
    if is_url(place):
        return remote.call(place, lambda store, path: bool(store.exists(path)))
    return os.path.exists(local_path(place))  # noqa: PTH110 -- never raises


def is_folder(place: str) -> bool:
    """Whether there is a folder (in a store: anything whose name begins with the place and a slash).

    Raises:
        DataError: the store cannot be asked.
    """
    if is_url(place):
        return remote.call(place, lambda store, path: bool(store.isdir(path)))
    return os.path.isdir(local_path(place))  # noqa: PTH112 -- never raises


def entries(folder: str) -> list[Entry]:
    """What is directly in a folder, by name.

    Raises:
        DataError: it cannot be listed.
    """
    if is_url(folder):
        listed = remote.call(folder, lambda store, path: store.ls(path, detail=True))
        found = [Entry(_last(info["name"]), info["type"] == "directory") for info in listed]
        return sorted(entry for entry in found if entry.name)
    with _translated(folder):
        return sorted(Entry(entry.name, entry.is_dir()) for entry in os.scandir(local_path(folder)))


def files_below(folder: str) -> list[str]:
    """The paths of all files below a folder, relative to it, sorted by name. Local links to folders are not followed.

    Raises:
        DataError: it cannot be listed.
    """
    if is_url(folder):

        def find(store: AbstractFileSystem, path: str) -> list[str]:
            top = store._strip_protocol(path).rstrip("/")
            return [str(name)[len(top) :].lstrip("/") for name in store.find(path) if str(name) != top]

        return sorted(remote.call(folder, find, remote.LIST_TIMEOUT_S))
    root = str(local_path(folder))
    with _translated(folder):
        return sorted(
            os.path.relpath(os.path.join(top, name), root)  # noqa: PTH118 -- faster than paths
            for top, _, names in os.walk(root)
            for name in names
        )


def size_of(place: str) -> int:
    """The bytes of a file.

    Raises:
        DataError: there is none, or the store does not tell.
    """
    if is_url(place):
        size = remote.call(place, lambda store, path: store.size(path))
        if not isinstance(size, int):
            raise DataError(f"{shown(place)} cannot be read in parts: its store does not tell its size")
        return size
    with _translated(place):
        found = local_path(place).stat()
    if not stat.S_ISREG(found.st_mode):
        raise DataError(f"{place} is not a file")
    return found.st_size


def version_of(place: str) -> str:
    """Changes when a file is written again: its size with the time (a local file) or the store's tag; "" where that has none.

    Raises:
        DataError: there is no such file.
    """
    if is_url(place):
        info = remote.call(place, _listed_info if place.startswith("hf://") else lambda store, path: store.info(path))
        tags = [f"{key}={info[key]}" for key in _VERSION_KEYS if info.get(key)]
        return f"{info.get('size')} {' '.join(tags)}" if tags else ""
    with _translated(place):
        found = local_path(place).stat()
    return f"{found.st_size} {found.st_mtime_ns}"


def digest_of(place: str) -> str:
    """Changes with any byte of a file. Local files are read; of remote ones the store's own tag is taken where it has one.

    Raises:
        DataError: it cannot be read.
    """
    if is_url(place):
        return version_of(place) or sha256_of_remote(place)
    with _translated(place):
        return sha256_of(local_path(place))


def sha256_of_remote(place: str) -> str:
    """The hexadecimal SHA-256 of a remote file, which is read for it."""
    whole = hashlib.sha256()
    with open_file(place, STREAM_BYTES) as file:
        while block := file.read(STREAM_BYTES):
            whole.update(block)
    return whole.hexdigest()


def read(place: str, max_bytes: int = MAX_FILE_BYTES) -> bytes:
    """A whole file of at most `max_bytes`.

    Raises:
        DataError: it cannot be read, or is larger.
    """
    size = size_of(place)
    if size > max_bytes:
        raise DataError(f"{shown(place)} has {size:,} bytes, at most {max_bytes:,} are read")
    return read_range(place, 0, size)


def read_range(place: str, start: int, length: int) -> bytes:
    """`length` bytes of a file from the byte `start`.

    Raises:
        DataError: they cannot be read, or the file ends before.
    """
    if not length:
        return b""
    if is_url(place):
        seconds = remote.TIMEOUT_S + length / remote.MIN_BYTES_PER_S
        data = bytes(
            remote.call(place, lambda store, path: store.cat_file(path, start=start, end=start + length), seconds)
        )
    else:
        with _translated(place), local_path(place).open("rb") as file:
            file.seek(start)
            data = file.read(length)
    if len(data) > length:
        raise DataError(
            f"{shown(place)} cannot be read in parts: its server ignores ranges; copy the file to a local folder"
        )
    if len(data) != length:
        raise DataError(f"{shown(place)} ends at byte {start + len(data):,}, expected {start + length:,} or more")
    return data


def open_file(place: str, block_bytes: int = BLOCK_BYTES) -> io.BufferedReader:
    """A file to read and seek in; a remote one is read in blocks.

    Raises:
        DataError: it cannot be read. A remote file raises it from its reads too.
    """
    if is_url(place):
        return io.BufferedReader(RangeFile(place), block_bytes)
    with _translated(place):
        return local_path(place).open("rb")


class RangeFile(io.RawIOBase):
    """A remote file by reads of ranges."""

    def __init__(self, place: str) -> None:
        super().__init__()
        self.place, self.size, self.position = place, size_of(place), 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self.position = max(0, offset + {os.SEEK_SET: 0, os.SEEK_CUR: self.position, os.SEEK_END: self.size}[whence])
        return self.position

    def readinto(self, buffer: "memoryview[int]") -> int:  # type: ignore[override]
        length = max(0, min(len(buffer), self.size - self.position))
        buffer[:length] = read_range(self.place, self.position, length)
        self.position += length
        return length


@contextmanager
def _translated(place: str) -> Iterator[None]:
    """Errors of the operating system as ours."""
    try:
        yield
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise DataError(f"{place} cannot be read: {reason}") from error


def _listed_info(store: AbstractFileSystem, path: str) -> dict[str, Any]:
    """What the listing of a folder says of a file in it: on the hub more than `info` does."""
    listed = store.ls(store._parent(path), detail=True)
    return next((info for info in listed if info["name"] == path), None) or dict(store.info(path))


def _last(path: str) -> str:
    return str(path).rstrip("/").rpartition("/")[2]
