"""The files that the argument of a source stands for, and how archives and tables are listed."""

import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from models.errors import DataError
from models.images import storage
from models.images.patterns import expand, fixed_part, is_pattern
from models.progress import Progress

LISTED_TOGETHER = 8
"""Files whose lists or descriptions are read at the same time."""

Listed = TypeVar("Listed")


def files_of(argument: str, suffix: str) -> tuple[list[str], list[str]]:
    """The files that a path, a folder (all below it with the suffix) or a pattern stands for, and their names in it.

    Names are relative to the folder, or to the fixed part of the pattern; a file alone has its own name.

    Raises:
        DataError: there is none.
    """
    if is_pattern(argument) and (storage.is_url(argument) or not storage.exists(argument)):
        root = fixed_part(argument)
        places = expand(argument)
        return places, [_relative(place, root) for place in places]
    if storage.is_folder(argument):
        names = [name for name in storage.files_below(argument) if name.lower().endswith(suffix)]
        if not names:
            raise DataError(f"there is no file *{suffix} in {storage.shown_place(argument)!r}")
        return [storage.join(argument, name) for name in names], names
    return [argument], [storage.name_of(argument)]


def list_each(
    places: list[str], list_one: Callable[[str], Listed], what: str, unit: str, progress: Progress
) -> list[Listed]:
    """What `list_one` gives for each file, in their order."""
    found: list[Listed] = []
    with progress(len(places), f"listing {what}", unit) as stage, ThreadPoolExecutor(LISTED_TOGETHER) as pool:
        for listed in pool.map(list_one, places):
            found.append(listed)
            stage.update()
    return found


def kind_of_file(name: str) -> str:
    """The suffix of a name in lower case, with its dot, as `Source.skipped` counts it."""
    file = name.rpartition("/")[2]
    return f".{file.rpartition('.')[2].lower()}" if "." in file[1:] else "no suffix"


class BoundedReads:
    """A file for a library that reads what the file itself states: a read of more than `limit` bytes is an error."""

    def __init__(self, file: io.BufferedReader, limit: int, what: str) -> None:
        self.file, self.limit, self.what = file, limit, what
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable

    def read(self, length: int = -1) -> bytes:
        """See `io.BufferedReader.read`.

        Raises:
            DataError: more bytes than the limit.
        """
        if length > self.limit:
            raise DataError(f"{self.what} of {length:,} bytes, at most {self.limit:,} are read")
        return self.file.read(length)


def _relative(place: str, root: str) -> str:
    place, root = (storage.shown_place(each).replace("///", "//") for each in (place, root))
    return place.removeprefix(root).lstrip("/") if place.startswith(root) else storage.name_of(place)
