"""Indexes of archives that were made before, kept in the user's cache until the archive is written again."""

import hashlib
import io
import logging
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from models.images import storage
from models.io import atomic_write, cache_folder, read_within

log = logging.getLogger(__name__)

FORMAT = "1"
"""Changes with the meaning of what is kept."""
MAX_INDEX_BYTES = 2**30

Arrays = dict[str, np.ndarray]


def kept(place: str, make: Callable[[], Arrays]) -> Arrays:
    """The arrays that were made for this version of a file, or made now. A file without a version is never kept.

    Raises:
        DataError: there is no such file; or see `make`.
    """
    version = storage.version_of(place)
    if not version:
        return make()
    whole = place if storage.is_url(place) else str(storage.local_path(place).resolve())
    path = cache_folder("indexes") / f"{hashlib.sha256(whole.encode(errors='surrogateescape')).hexdigest()[:32]}.npz"
    stamp = np.frombuffer(f"{FORMAT} {version}".encode(), dtype=np.uint8)
    found = _load(path)
    if found is not None and np.array_equal(found.pop("stamp", stamp[:0]), stamp):
        return found
    made = make()
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, stamp=stamp, **made)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(path, file.getvalue())
    except OSError as error:
        log.warning("the index of %s cannot be kept in %s: %s", storage.shown_place(place), path.parent, error)
    return made


def _load(path: Path) -> Arrays | None:
    """The arrays of a file; None where it is not there or damaged."""
    try:
        with np.load(io.BytesIO(read_within(path, MAX_INDEX_BYTES)), allow_pickle=False) as found:
            return dict(found)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
