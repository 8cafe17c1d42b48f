"""`zip:FILE`, `zip:DIR`, `zip:PATTERN`: images in zip archives; folders in them are classes."""

import struct
import zipfile
import zlib
from collections import Counter
from functools import partial
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64, UInt8, UInt32

from models.errors import DataError
from models.images import storage
from models.images.preprocess import IMAGE_SUFFIXES
from models.images.sources.base import BY_BYTES, ListOptions
from models.images.sources.encoded import (
    HIDDEN,
    EncodedImages,
    check_image_bytes,
    digest_of_files,
    no_images,
    without_repeated,
)
from models.images.sources.files import BoundedReads, files_of, kind_of_file, list_each
from models.images.sources.labels import labels_of_folders
from models.images.sources.strings import Strings
from models.progress import Progress, no_progress

SUFFIX = ".zip"
MAX_DIRECTORY_BYTES = 2**27
"""Of an archive's list of files, some 1.5 million of them. While it is read it takes about ten times its size."""
LOCAL_HEADER = struct.Struct("<4s22xHH")
"""Signature, length of the name, length of the extra field (PKWARE's APPNOTE, 4.3.7)."""
READ_AHEAD_BYTES = 64
"""For the name and the extra field of a local header: the archive's list behind the last file has at least as many bytes."""


class Members(NamedTuple):
    """The images of one archive: where each one's local header is, sizes stored and decompressed, CRC-32, whether deflated."""

    names: Strings
    headers: Int64[np.ndarray, " n"]
    stored: Int64[np.ndarray, " n"]
    sizes: Int64[np.ndarray, " n"]
    crcs: UInt32[np.ndarray, " n"]
    deflated: UInt8[np.ndarray, " n"]
    skipped: Counter[str]


class ZipPlaces:
    """The bytes of files in archives."""

    def __init__(self, archives: list[str], members: list[Members], kept: Int64[np.ndarray, " n"]) -> None:
        counts = np.array([len(each.names) for each in members])
        self.archives, self.members, self.firsts, self.kept = archives, members, np.cumsum(counts) - counts, kept

    def _find(self, index: int) -> tuple[str, Members, int]:
        position = int(self.kept[index])
        number = int(np.searchsorted(self.firsts, position, side="right")) - 1
        return self.archives[number], self.members[number], position - int(self.firsts[number])

    def uri(self, index: int) -> str:
        """See `Places.uri`."""
        archive, members, at = self._find(index)
        return f"{storage.shown_place(archive)}#{members.names[at]}"

    def read(self, index: int) -> bytes:
        """See `Places.read`."""
        archive, members, at = self._find(index)
        return read_member(archive, members, at)


def open_zip(argument: str, _: ListOptions = BY_BYTES, progress: Progress = no_progress) -> EncodedImages:
    """The images of one or more archives by the suffix of their names, in the order of the archives' lists.

    Ids are the archive's path and the file's path in it.

    Raises:
        DataError: no archive, one that is damaged, or none with images.
    """
    places, relative = files_of(argument, SUFFIX)
    members = list_each(places, list_members, argument, "archives", progress)
    skipped = sum((each.skipped for each in members), Counter[str]())
    ids = Strings(f"{archive}/{name}" for archive, each in zip(relative, members, strict=True) for name in each.names)
    labels = labels_of_folders(Strings(name for each in members for name in each.names))
    if not len(ids):
        raise no_images(argument, skipped)
    kept = without_repeated(ids, skipped)
    return EncodedImages(
        ids.take(kept),
        ZipPlaces(places, members, kept),
        f"{len(places):,} zip {'archive' if len(places) == 1 else 'archives'} at {storage.name_of(argument)!r}",
        partial(digest_of_files, places),
        labels.take(kept),
        skipped,
    )


def list_members(place: str) -> Members:
    """The images of an archive.

    Raises:
        DataError: it cannot be read, is damaged, or has too many files.
    """
    shown, skipped = storage.shown_place(place), Counter[str]()
    infos: list[zipfile.ZipInfo] = []
    with storage.open_file(place) as file:
        try:
            with zipfile.ZipFile(BoundedReads(file, MAX_DIRECTORY_BYTES, f"{shown} has a list of files")) as archive:
                listed = archive.infolist()
        except (zipfile.BadZipFile, struct.error, ValueError, NotImplementedError, OSError) as error:
            raise DataError(f"{shown} is damaged or not a zip archive: {error}") from error
    for info in listed:
        reason = _why_skipped(info)
        if reason:
            skipped[reason] += 1
        elif not info.is_dir():
            infos.append(info)
    return Members(
        Strings(info.filename for info in infos),
        np.array([info.header_offset for info in infos], dtype=np.int64),
        np.array([info.compress_size for info in infos], dtype=np.int64),
        np.array([info.file_size for info in infos], dtype=np.int64),
        np.array([info.CRC for info in infos], dtype=np.uint32),
        np.array([info.compress_type == zipfile.ZIP_DEFLATED for info in infos], dtype=np.uint8),
        skipped,
    )


def read_member(archive: str, members: Members, at: int) -> bytes:
    """The decompressed bytes of one file, never more than it states, and with the CRC that it states.

    Raises:
        DataError: they cannot be read, or are others.
    """
    size, stored = int(members.sizes[at]), int(members.stored[at])
    uri = f"{storage.shown_place(archive)}#{members.names[at]}"
    check_image_bytes(max(size, stored), uri)
    header = int(members.headers[at])
    data = storage.read_range(archive, header, LOCAL_HEADER.size + stored + READ_AHEAD_BYTES)
    signature, name_length, extra_length = LOCAL_HEADER.unpack_from(data)
    if signature != b"PK\x03\x04":
        raise DataError(f"{uri} is not where the archive's list says")
    start = LOCAL_HEADER.size + name_length + extra_length
    missing = start + stored - len(data)
    if missing > 0:
        data += storage.read_range(archive, header + len(data), missing)
    data = data[start : start + stored]
    if members.deflated[at]:
        try:
            data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, size + 1)
        except zlib.error as error:
            raise DataError(f"{uri} cannot be decompressed: {error}") from error
    if len(data) != size or zlib.crc32(data) != int(members.crcs[at]):
        raise DataError(f"{uri} is damaged: its bytes are not those that the archive's list describes")
    return data


def _why_skipped(info: zipfile.ZipInfo) -> str | None:
    if info.is_dir():
        return None
    folder, _, file = info.filename.rpartition("/")
    suffix = kind_of_file(file)
    if file.startswith(".") or folder.startswith("__MACOSX"):
        return HIDDEN
    if suffix not in IMAGE_SUFFIXES:
        return suffix
    if info.flag_bits & 1:
        return "encrypted files"
    return None if info.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) else "files in another compression"
