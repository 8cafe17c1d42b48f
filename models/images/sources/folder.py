"""`folder:DIR`, or just `DIR`: all images below a folder, or one image file; the first folder below it names a class."""

import errno
import hashlib
import os
import stat
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Int64
from PIL import Image

from models.errors import DataError, ImageError
from models.images.decode import HEAD_BYTES, LOCAL_LIMITS, decode, image_format
from models.images.preprocess import IMAGE_SUFFIXES
from models.images.sources.base import BY_BYTES, Item, ListOptions
from models.images.sources.encoded import no_images
from models.images.sources.labels import labels_of_values
from models.images.sources.strings import Strings
from models.images.storage import local_path
from models.io import read_within, sha256_of
from models.progress import Progress, no_progress

DANGLING_LINKS, LINK_LOOPS, KNOWN_FOLDERS = "dangling links", "link loops", "links to folders listed already"
UNREADABLE_FILES, UNREADABLE_FOLDERS, SPECIAL_FILES = "unreadable files", "unreadable folders", "special files"


class Folder:
    """Files that begin like an image or are named like one, sorted by path.

    Links to files are followed, and links to folders where the folder is not listed already. Everything else is counted in
    `skipped`: files of other kinds by suffix, dangling links, link loops, links to folders listed already, unreadable files and
    folders, special files.
    """

    def __init__(
        self,
        argument: str,
        options: ListOptions = BY_BYTES,
        progress: Progress = no_progress,
    ) -> None:
        root = local_path(argument)
        if not root.exists():
            raise DataError(f"there is no file or folder {argument!r}; give one with images in it")
        self.root = root if root.is_dir() else root.parent
        self.skipped: Counter[str] = Counter()
        with progress(0, f"listing {argument}", "files") as stage:
            found = []
            for path in _files(root, self.skipped):
                stage.update()
                if _is_image(path, options.by_suffix, self.skipped):
                    found.append(path.relative_to(self.root).as_posix())
        if not found:
            raise no_images(argument, self.skipped)
        self.names = Strings(sorted(found, key=lambda name: name.split("/")))
        labels = labels_of_values(name.partition("/")[0] if "/" in name else "" for name in self.names)
        self.classes = labels.classes
        self.labels: Int64[np.ndarray, " n"] | None = labels.numbers if len(labels.classes) > 1 else None
        self.description = f"{len(self.names):,} images of a folder named {root.resolve().name!r}"
        content = "\n".join(self.names).encode(errors="surrogateescape")
        self.fingerprint = hashlib.sha256(content).hexdigest()[:16]

    def __len__(self) -> int:
        return len(self.names)

    def path(self, index: int) -> Path:
        """Where one image is."""
        return self.root / self.names[index]

    def item(self, index: int) -> Item:
        """See `Source.item`. The id is the path relative to the folder."""
        return Item(self.names[index], os.path.abspath(self.path(index)))  # noqa: PTH100 -- links stay as they are

    def read(self, index: int) -> bytes:
        """See `Source.read`."""
        return _read(self.path(index))

    def has(self, item_id: str) -> bool:
        """See `Source.has`."""
        return os.path.isfile(self.root / item_id)  # noqa: PTH113 -- never raises

    def read_id(self, item_id: str) -> bytes:
        """See `Source.read_id`."""
        if not self.has(item_id):
            raise DataError("the image is not in its source any more, or may not be read")
        return _read(self.root / item_id)

    def open(self, index: int) -> Image.Image:
        """See `Source.open`."""
        try:
            return decode(self.read(index), LOCAL_LIMITS)
        except ImageError as error:
            raise DataError(f"{self.path(index)} cannot be read: {error}") from error

    def digest(self) -> str:
        """See `Source.digest`."""
        whole = hashlib.sha256(self.fingerprint.encode())
        for index in range(len(self)):
            whole.update(sha256_of(self.path(index)).encode())
        return whole.hexdigest()


Place = tuple[str, frozenset[tuple[int, int]]]
"""A path, and the identities (device, inode) of the folders above it."""


def _read(path: Path) -> bytes:
    try:
        return read_within(path, LOCAL_LIMITS.max_bytes)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise DataError(f"{path} cannot be read: {error}") from error


def _files(root: Path, skipped: Counter[str]) -> Iterator[Path]:
    """The regular files below a folder, or the one file. Links to folders are followed last, in the order of their paths."""
    known: set[tuple[int, int]] = set()
    starts: list[Place] = [(str(root), frozenset())]
    while starts:
        links: list[Place] = []
        for start in sorted(starts):
            yield from _files_below(start, known, links, skipped)
        starts = links


def _files_below(
    start: Place, known: set[tuple[int, int]], links: list[Place], skipped: Counter[str]
) -> Iterator[Path]:
    """The regular files below one folder. Links to folders are added to `links`, folders that are listed to `known`.

    Where `start` is such a link itself, folders that are known are skipped; without links there is one path to each folder.
    A stack, since `os.walk` recurses before Python 3.12.
    """
    todo, linked = [start], bool(start[1])
    while todo:
        name, above = todo.pop()
        try:
            status = os.stat(name)  # noqa: PTH116 -- strings are several times faster here than paths
        except OSError as error:
            if reason := _why_skipped(name, error):
                skipped[reason] += 1
            continue
        identity = status.st_dev, status.st_ino
        if stat.S_ISREG(status.st_mode):
            yield Path(name)
        elif not stat.S_ISDIR(status.st_mode):
            skipped[SPECIAL_FILES] += 1
        elif identity in above:
            skipped[LINK_LOOPS] += 1
        elif name != start[0] and os.path.islink(name):  # noqa: PTH114
            links.append((name, above))
        elif linked and identity in known:
            skipped[KNOWN_FOLDERS] += 1
        else:
            known.add(identity)
            try:
                below = os.listdir(name)  # noqa: PTH208
            except OSError:
                skipped[UNREADABLE_FOLDERS] += 1
                continue
            parents = above | {identity}
            todo += [(os.path.join(name, entry), parents) for entry in below]  # noqa: PTH118


def _why_skipped(name: str, error: OSError) -> str | None:
    """The reason that a path has no status; None where it was deleted meanwhile."""
    if error.errno == errno.ELOOP:
        return LINK_LOOPS
    if error.errno == errno.ENOENT:
        return DANGLING_LINKS if os.path.islink(name) else None  # noqa: PTH114
    return UNREADABLE_FILES


def _is_image(path: Path, by_suffix: bool, skipped: Counter[str]) -> bool:
    """Whether a file begins like an image, or is named like one: an empty or broken `.jpg` should be seen, not skipped."""
    found = path.suffix.lower() in IMAGE_SUFFIXES
    if not by_suffix:
        try:
            with path.open("rb") as file:
                found |= image_format(file.read(HEAD_BYTES)) is not None
        except OSError:
            skipped[UNREADABLE_FILES] += 1
            return False
    if not found:
        skipped[path.suffix.lower() or "no suffix"] += 1
    return found
