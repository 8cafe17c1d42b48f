"""What a job reads: the pictures of folders, listed once."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from models.errors import DataError
from models.preprocess import PICTURE_SUFFIXES


class Row(NamedTuple):
    """One picture of a job: its name in the output, and where its bytes are."""

    id: str
    uri: str


class Listing(NamedTuple):
    """The pictures in the order of the output, and the files that are no pictures, counted by suffix."""

    rows: list[Row]
    others: Counter[str]


def list_sources(sources: Sequence[str]) -> Listing:
    """The pictures of folders, or single files, sorted within each. Ids are relative paths, after the source's index if several.

    Raises:
        DataError: a source that is not there, no pictures at all, or two of the same id.
    """
    rows: list[Row] = []
    others: Counter[str] = Counter()
    for index, source in enumerate(sources):
        root = Path(source)
        if not root.exists():
            raise DataError(f"there is no file or folder {source!r}")
        base = root if root.is_dir() else root.parent
        prefix = f"{index}/" if len(sources) > 1 else ""
        for path in sorted(root.rglob("*")) if root.is_dir() else [root]:
            if not path.is_file():
                continue
            if path.suffix.lower() in PICTURE_SUFFIXES:
                rows.append(Row(prefix + path.relative_to(base).as_posix(), str(path.resolve())))
            else:
                others[path.suffix.lower() or "no suffix"] += 1
    if not rows:
        raise DataError(
            f"no pictures in {', '.join(sources)}; looked for files ending in {', '.join(sorted(PICTURE_SUFFIXES))}"
        )
    for row in rows:
        try:
            row.uri.encode()
        except UnicodeEncodeError as error:
            raise DataError(f"the file name {row.uri!r} is not UTF-8; rename the file") from error
    twice = [name for name, count in Counter(row.id for row in rows).items() if count > 1]
    if twice:
        raise DataError(f"two pictures have the id {twice[0]!r}")
    return Listing(rows, others)
