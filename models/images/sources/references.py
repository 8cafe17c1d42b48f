"""Files that list images, one a line: where each is, and its class. What JSONL and plain lists have in common."""

from array import array
from collections import Counter
from collections.abc import Callable, Iterator
from sys import intern
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64

from models.errors import DataError
from models.images import remote, storage
from models.images.sources.encoded import EncodedImages, digest_of_files, no_images, without_repeated
from models.images.sources.labels import labels_of_values
from models.images.sources.strings import Strings, StringsBuilder
from models.progress import Progress

MAX_LINE_BYTES = 2**26
"""Of one line, which may hold an image as base64."""
MAX_LINES = 100_000_000
LINES_TOLD = 1000
"""Progress is reported once for so many lines."""


class Reference(NamedTuple):
    """What a line says of an image: its place, or None where the line holds its bytes; its id where it has one; its class."""

    place: str | None
    id: str | None = None
    label: int | str | None = None


Parse = Callable[[bytes, int], Reference | str]
"""(line, number of the line from 1) -> an image, or why the line is left out. Raises ValueError for a malformed line."""

BytesOf = Callable[[bytes], bytes]
"""The image in a line. Raises ValueError."""


class ReferencedPlaces:
    """Images at places, relative to the file that lists them, and images in its lines."""

    def __init__(
        self,
        file: str,
        places: Strings,
        starts: Int64[np.ndarray, " n"],
        lengths: Int64[np.ndarray, " n"],
        bytes_of: BytesOf | None,
    ) -> None:
        self.file, self.places, self.starts, self.lengths, self.bytes_of = file, places, starts, lengths, bytes_of
        self.folder = storage.parent_of(file)

    def place(self, index: int) -> str:
        """The place of one image that is not in its line."""
        return _resolved(self.places[index], self.folder)

    def digest(self) -> str:
        """A digest of the file and of all images that it names."""
        return digest_of_files([self.file, *(self.place(i) for i in range(len(self.places)) if self.places[i])])

    def uri(self, index: int) -> str:
        """See `Places.uri`."""
        if not self.places[index]:
            return f"{storage.shown_place(self.file)}#{int(self.starts[index])}"
        return storage.shown_place(self.place(index))

    def read(self, index: int) -> bytes:
        """See `Places.read`."""
        if self.places[index] or self.bytes_of is None:
            return storage.read(self.place(index))
        line = storage.read_range(self.file, int(self.starts[index]), int(self.lengths[index]))
        try:
            return self.bytes_of(line)
        except ValueError as error:
            raise DataError(f"{self.uri(index)} cannot be read: {error}") from error


def open_references(file: str, parse: Parse, progress: Progress, bytes_of: BytesOf | None = None) -> EncodedImages:
    """The images that the lines of a file name.

    The id of an image is the one of its line, else its place as written, else its line's number.

    Raises:
        DataError: the file cannot be read, a line is malformed or too long, or there are no images.
    """
    ids, places = StringsBuilder(), StringsBuilder()
    labels: list[int | str | None] = []
    starts, lengths, skipped = array("q"), array("q"), Counter[str]()
    shown, folder = storage.shown_place(file), storage.parent_of(file)
    with progress(0, f"listing {shown}", "lines") as stage:
        for number, start, line in _lines(file):
            if number % LINES_TOLD == 0:
                stage.update(LINES_TOLD)
            try:
                found = parse(line, number)
                if isinstance(found, str):
                    skipped[found] += 1
                    continue
                if found.place is not None:
                    check_reference(found.place, folder)
            except ValueError as error:
                raise DataError(f"{shown}, line {number}: {error}") from error
            places.append(found.place or "")
            ids.append(found.id or found.place or f"{number:08d}")
            labels.append(intern(found.label) if isinstance(found.label, str) else found.label)
            starts.append(start)
            lengths.append(len(line))
    names = ids.build()
    if not len(names):
        raise no_images(shown, skipped)
    kept = without_repeated(names, skipped)
    spans = np.array(starts, dtype=np.int64)[kept], np.array(lengths, dtype=np.int64)[kept]
    referenced = ReferencedPlaces(file, places.build().take(kept), *spans, bytes_of)
    return EncodedImages(
        names.take(kept),
        referenced,
        f"a list named {storage.name_of(file)!r}",
        referenced.digest,
        labels_of_values(labels).take(kept),
        skipped,
    )


def check_reference(place: str, folder: str) -> None:
    """Check that a list from a store does not name local files.

    Raises:
        ValueError: it does; or the place is too long.
    """
    if len(place) > remote.MAX_URL_CHARACTERS or "\0" in place:
        raise ValueError(f"{place[:60]!r}... is not a path")
    if storage.is_url(folder) and not storage.is_url(place) and (place.startswith(("/", "file://")) or "\\" in place):
        raise ValueError(f"{place!r} is a local path; a list in a store may name files beside it, and URLs")


def _resolved(place: str, folder: str) -> str:
    local = storage.local_path(place)
    return place if storage.is_url(place) or local.is_absolute() else storage.join(folder, str(local))


def _lines(file: str) -> Iterator[tuple[int, int, bytes]]:
    """The number, the first byte and the content of every line, without its end."""
    start = 0
    with storage.open_file(file, storage.STREAM_BYTES) as stream:
        for number in range(1, MAX_LINES + 2):
            line = stream.readline(MAX_LINE_BYTES + 1)
            if not line:
                return
            if len(line) > MAX_LINE_BYTES:
                raise DataError(
                    f"{storage.shown_place(file)}, line {number} has more than {MAX_LINE_BYTES:,} bytes; is it a list?"
                )
            yield number, start, line.rstrip(b"\r\n")
            start += len(line)
    raise DataError(f"{storage.shown_place(file)} has more than {MAX_LINES:,} lines")
