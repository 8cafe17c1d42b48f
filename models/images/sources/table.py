"""The table of sources, and the URIs that name them."""

import os
from collections.abc import Callable
from typing import NamedTuple

from models.errors import DataError
from models.images import storage
from models.images.patterns import expand, is_pattern
from models.images.sources.base import BY_BYTES, ListOptions, Source
from models.images.sources.fashion_mnist import open_fashion_mnist
from models.images.sources.folder import Folder
from models.images.sources.idx import open_idx
from models.images.sources.jsonl import open_jsonl
from models.images.sources.kinds import kind_of
from models.images.sources.lists import open_list
from models.images.sources.parquet import open_parquet
from models.images.sources.remote_folder import open_remote_folder
from models.images.sources.splits import is_dataset
from models.images.sources.synthetic import Synthetic
from models.images.sources.tar import open_tar
from models.images.sources.zip import open_zip
from models.progress import Progress, no_progress


class SourceMember(NamedTuple):
    """A kind of source: what opens it, what stands behind the colon of its URI, and whether that is a path or URL."""

    open: Callable[[str, ListOptions, Progress], Source]
    argument: str
    is_path: bool = False


def open_folder(argument: str, options: ListOptions = BY_BYTES, progress: Progress = no_progress) -> Source:
    """A local folder, or one of a store.

    Raises:
        DataError: it cannot be listed, or has no images.
    """
    return open_remote_folder(argument, progress) if storage.is_url(argument) else Folder(argument, options, progress)


SOURCES: dict[str, SourceMember] = {
    "folder": SourceMember(open_folder, "DIR", is_path=True),
    "tar": SourceMember(open_tar, "FILE|DIR|PATTERN", is_path=True),
    "zip": SourceMember(open_zip, "FILE|DIR|PATTERN", is_path=True),
    "parquet": SourceMember(open_parquet, "FILE|DIR|PATTERN", is_path=True),
    "jsonl": SourceMember(open_jsonl, "FILE", is_path=True),
    "list": SourceMember(open_list, "FILE", is_path=True),
    "idx": SourceMember(open_idx, "FILE", is_path=True),
    "fashion-mnist": SourceMember(open_fashion_mnist, "train|test"),
    "synthetic": SourceMember(Synthetic, "COUNT"),
}
"""By the word before the colon of a URI."""


def open_source(
    uri: str,
    options: ListOptions = BY_BYTES,
    progress: Progress = no_progress,
) -> Source:
    """The source of a URI: a word of `SOURCES`, a colon and its argument, or a bare path or URL, which is what `kind_of` says.

    Raises:
        DataError: nothing there, or nothing that can be read.
    """
    scheme, argument = _split(uri)
    if not scheme:
        check_exists(uri)
        scheme = kind_of(uri)
    return SOURCES[scheme].open(argument, options, progress)


def check_exists(uri: str) -> None:
    """Check that a URI names a known source or files that exist, without listing it.

    Raises:
        DataError: it does not, or the store cannot be asked.
    """
    scheme, argument = _split(uri)
    if (scheme and not SOURCES[scheme].is_path) or is_dataset(argument):
        return
    if is_pattern(argument) and all(storage.exists(place) for place in expand(argument)[:1]):
        return
    if not storage.exists(argument):
        raise DataError(
            f"there is no file or folder {storage.shown_place(argument)!r}; a source is a folder, a file, a URL, or one of "
            f"{source_uris()}"
        )


def absolute_uri(uri: str) -> str:
    """The same source by a URI that means the same in every working directory; a folder is its path alone.

    Links to folders and idx files are resolved; other files stay in the folder that their relative paths are of.
    """
    scheme, argument = _split(uri)
    if (scheme and not SOURCES[scheme].is_path) or storage.is_url(argument):
        return uri
    path = storage.local_path(argument)
    kind = scheme or kind_of(argument)
    absolute = str(path.resolve()) if kind in ("folder", "idx") else os.path.abspath(path)  # noqa: PTH100
    return absolute if not scheme or (kind == "folder" and kind_of(absolute) == kind) else f"{scheme}:{absolute}"


def source_uris() -> str:
    """The URIs of all sources, for help and error messages."""
    return ", ".join(f"{scheme}:{member.argument}" for scheme, member in SOURCES.items())


def _split(uri: str) -> tuple[str, str]:
    """A key of `SOURCES` and what is behind the colon; without a known scheme, an empty string and all of it."""
    scheme, colon, argument = uri.partition(":")
    return (scheme, argument) if colon and scheme in SOURCES and not argument.startswith("//") else ("", uri)
