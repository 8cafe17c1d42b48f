"""Where the files of a tar archive are in it: one pass over its headers, without the content where the place can seek."""

import io
import json
import re
import tarfile
from array import array
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64

from models.errors import DataError
from models.images import storage
from models.images.sources.files import BoundedReads
from models.images.sources.kept import kept
from models.images.sources.labels import label_value
from models.images.sources.strings import Strings, StringsBuilder

MAX_MEMBERS = 20_000_000
"""Files in one archive."""
MAX_HEADER_BYTES = 2**16
"""Of the extended header of one file."""
MAX_LABEL_BYTES = 2**16
"""Of the `.cls` or `.json` of one sample; a larger one is not read."""
LABEL_KEYS = ("label", "cls", "class", "class_name", "class_id")
"""Fields of a sample's JSON that may hold its class, the first that is there."""

_INTEGER = re.compile(r"-?\d{1,18}")


class TarIndex(NamedTuple):
    """The names of regular files in the order of an archive, and the first byte and the size of each.

    `values` has the classes that `.cls` and `.json` files give, as JSON; "" for other files, and where they give none.
    """

    names: Strings
    starts: Int64[np.ndarray, " n"]
    sizes: Int64[np.ndarray, " n"]
    values: Strings


def tar_index(place: str) -> TarIndex:
    """The index of an archive, from the user's cache where it is known.

    Raises:
        DataError: it cannot be read, is compressed, damaged, or has too many files.
    """
    arrays = kept(place, lambda: scan(place))
    names = Strings.from_arrays(arrays["content"], arrays["ends"])
    values = Strings.from_arrays(arrays["value_content"], arrays["value_ends"])
    return TarIndex(names, arrays["starts"], arrays["sizes"], values)


def scan(place: str) -> dict[str, np.ndarray]:
    """The arrays of an index, read from the archive."""
    shown = storage.shown_place(place)
    names, starts, sizes, values = StringsBuilder(), array("q"), array("q"), StringsBuilder()
    size = storage.size_of(place)
    with storage.open_file(place, storage.STREAM_BYTES) as file:
        _check_not_compressed(file, shown)
        try:
            with tarfile.open(
                fileobj=BoundedReads(file, MAX_HEADER_BYTES, f"{shown} has a header"), mode="r:"
            ) as archive:  # type: ignore[call-overload]
                while (member := archive.next()) is not None:
                    archive.members = []  # else it keeps all of them
                    if member.isreg() and not member.issparse():
                        if member.offset_data + member.size > size:
                            raise DataError(f"{shown} is cut off in {member.name}")
                        names.append(member.name)
                        starts.append(member.offset_data)
                        sizes.append(member.size)
                        values.append(_value(file, member))
                    if len(starts) > MAX_MEMBERS:
                        raise DataError(f"{shown} has more than {MAX_MEMBERS:,} files; split it into shards")
                end = archive.offset
        except (tarfile.TarError, ValueError, OverflowError, UnicodeError, OSError) as error:
            raise DataError(f"{shown} is damaged or not a tar archive: {error}") from error
        file.seek(end)
        if any(file.read(tarfile.BLOCKSIZE)):
            raise DataError(f"{shown} is damaged at byte {end:,}")
    packed, packed_values = names.build(), values.build()
    return {
        "content": np.frombuffer(packed.content, dtype=np.uint8),
        "ends": packed.ends,
        "value_content": np.frombuffer(packed_values.content, dtype=np.uint8),
        "value_ends": packed_values.ends,
        "starts": np.array(starts, dtype=np.int64),
        "sizes": np.array(sizes, dtype=np.int64),
    }


def _value(file: io.BufferedReader, member: tarfile.TarInfo) -> str:
    """The class in a `.cls` or `.json` file, as JSON."""
    suffix = member.name[-5:].lower()
    if not suffix.endswith((".cls", ".json")) or member.size > MAX_LABEL_BYTES:
        return ""
    file.seek(member.offset_data)
    text = file.read(member.size).decode(errors="replace").strip()
    value: object = int(text) if _INTEGER.fullmatch(text) else text
    if suffix.endswith("json"):
        try:
            document = json.loads(text)
        except (ValueError, RecursionError):
            return ""
        fields = document if isinstance(document, dict) else {}
        value = next((fields[key] for key in LABEL_KEYS if key in fields), None)
    label = label_value(value)
    return "" if label is None else json.dumps(label)


def _check_not_compressed(file: io.BufferedReader, shown: str) -> None:
    head = file.read(6)
    file.seek(0)
    magic = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\0": "xz", b"\x28\xb5\x2f\xfd": "zstd"}
    for start, name in magic.items():
        if head.startswith(start):
            raise DataError(
                f"{shown} is compressed with {name}, which has no random access; decompress it first (images do not get smaller)"
            )
