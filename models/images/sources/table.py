"""The table of sources, and the URIs that name them."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from models.errors import DataError
from models.images.sources.base import BY_BYTES, ListOptions, Source
from models.images.sources.fashion_mnist import open_fashion_mnist
from models.images.sources.folder import Folder
from models.images.sources.idx import open_idx
from models.images.sources.synthetic import Synthetic
from models.progress import Progress, no_progress


class SourceMember(NamedTuple):
    """A kind of source: what opens it, what stands behind the colon of its URI, and whether that is a path."""

    open: Callable[[str, ListOptions, Progress], Source]
    argument: str
    is_path: bool = False


SOURCES: dict[str, SourceMember] = {
    "folder": SourceMember(Folder, "DIR", is_path=True),
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
    """The source of a URI: `folder:DIR` or just `DIR`, `idx:FILE`, `fashion-mnist:train`, `synthetic:COUNT`.

    Raises:
        DataError: nothing there, or nothing that can be read.
    """
    scheme, argument = _split(uri)
    if scheme:
        return SOURCES[scheme].open(argument, options, progress)
    check_exists(uri)
    return Folder(uri, options, progress)


def check_exists(uri: str) -> None:
    """Check that a URI names a known source or a file or folder that exists, without listing it.

    Raises:
        DataError: it does not.
    """
    scheme, argument = _split(uri)
    if (not scheme or SOURCES[scheme].is_path) and not Path(argument).exists():
        raise DataError(
            f"there is no file or folder {argument!r}; a source is a folder, a file, or one of {source_uris()}"
        )


def absolute_uri(uri: str) -> str:
    """The same source by a URI that means the same in every working directory; a folder is its path alone."""
    scheme, argument = _split(uri)
    if scheme and not SOURCES[scheme].is_path:
        return uri
    path = str(Path(argument).resolve())
    return path if scheme in ("", "folder") else f"{scheme}:{path}"


def source_uris() -> str:
    """The URIs of all sources, for help and error messages."""
    return ", ".join(f"{scheme}:{member.argument}" for scheme, member in SOURCES.items())


def _split(uri: str) -> tuple[str, str]:
    """A key of `SOURCES` and what is behind the colon; without a known scheme, an empty string and all of it."""
    scheme, colon, argument = uri.partition(":")
    return (scheme, argument) if colon and scheme in SOURCES else ("", uri)
