"""Patterns of places: braces as in shards (`{000..099}`, `{a,b}`) and globs (`*`, `?`, `[...]`)."""

import glob
import re
from collections.abc import Iterator

from models.errors import DataError
from models.images import remote, storage

MAX_EXPANDED = 100_000
"""Places that one pattern may stand for."""

_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d{1,9})\.\.(\d{1,9})")
_MAGIC = re.compile(r"[*?[]")


def is_pattern(place: str) -> bool:
    """Whether a place has braces or a glob in it."""
    return bool(_BRACES.search(place) or _MAGIC.search(place))


def fixed_part(place: str) -> str:
    """The folder that all places of a pattern are below; the folder of the file where it is not a pattern."""
    first = min((match.start() for p in (_BRACES, _MAGIC) if (match := p.search(place))), default=len(place))
    return storage.parent_of(place[:first] + "x")


def expand(place: str) -> list[str]:
    """The places that a pattern stands for: braces in their order, what a glob finds by name.

    Raises:
        DataError: a glob finds nothing, or there are more than `MAX_EXPANDED`.
    """
    if not storage.is_url(place) and storage.exists(place):
        return [place]
    expanded: list[str] = []
    for each in _expand_braces(place):
        expanded += _glob(each) if _MAGIC.search(each) else [each]
        if len(expanded) > MAX_EXPANDED:
            raise DataError(f"{place} stands for more than {MAX_EXPANDED:,} files; give fewer, larger files")
    return expanded


def split_places(text: str) -> list[str]:
    """Places that are separated by commas; commas in braces do not count."""
    return re.split(r",(?![^{}]*\})", text)


def _expand_braces(place: str) -> Iterator[str]:
    match = _BRACES.search(place)
    if not match:
        yield place
        return
    before, after = place[: match.start()], place[match.end() :]
    for choice in _choices(match[1]):
        yield from _expand_braces(f"{before}{choice}{after}")


def _choices(inner: str) -> Iterator[str]:
    match = _RANGE.fullmatch(inner)
    if not match:
        yield from inner.split(",")
        return
    first, last = match[1], match[2]
    width = len(first) if first.startswith("0") or len(first) == len(last) else 0
    for number in range(int(first), int(last) + 1):
        yield f"{number:0{width}d}"


def _glob(pattern: str) -> list[str]:
    if storage.is_url(pattern):
        scheme = pattern.partition("://")[0]
        found = remote.call(
            pattern,
            lambda store, path: [_with_scheme(scheme, name) for name in store.glob(path)],
            remote.LIST_TIMEOUT_S,
        )
    else:
        found = glob.glob(str(storage.local_path(pattern)), recursive=True)  # noqa: PTH207 -- patterns of absolute paths
    if not found:
        raise DataError(f"there is no file {remote.shown(pattern)!r}")
    return sorted(found)


def _with_scheme(scheme: str, name: object) -> str:
    text = str(name)
    return text if "://" in text else f"{scheme}://{text.lstrip('/') if scheme != 'memory' else text}"
