"""What kind of source a bare path or URL is: by what it is, not by what its images are."""

from models.errors import DataError
from models.images import storage
from models.images.patterns import is_pattern
from models.images.preprocess import IMAGE_SUFFIXES
from models.images.sources.splits import is_dataset

BY_SUFFIX = {
    ".tar": "tar",
    ".tar.gz": "tar",
    ".tgz": "tar",
    ".zip": "zip",
    ".parquet": "parquet",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".txt": "list",
    ".tsv": "list",
    ".lst": "list",
    "idx3-ubyte": "idx",
    "idx3-ubyte.gz": "idx",
}
"""Ends of names of files that hold or list images."""
IN_FOLDERS = ("tar", "zip", "parquet")
"""Kinds that a folder is where it holds nothing else."""
DATA = "data"
"""The folder of Parquet files in a data set of Hugging Face's layout."""


def kind_of(place: str) -> str:
    """A key of `SOURCES`.

    A file or a pattern is what its name ends like. A folder with archives or Parquet files directly in it, and with neither
    images nor other folders beside them, is those. Everything else is a folder of images, or an image.

    Raises:
        DataError: a store cannot be asked.
    """
    if is_dataset(place):
        return "parquet"
    named = kind_of_name(place)
    if storage.is_url(place) and (named or is_pattern(place)):
        return named or "folder"
    return (_kind_of_folder(place) if storage.is_folder(place) else named) or "folder"


def kind_of_name(place: str) -> str:
    """The kind of a file by the end of its name; "" for images and everything else."""
    name = storage.name_of(place).lower()
    return next((kind for end, kind in BY_SUFFIX.items() if name.endswith(end)), "")


def _kind_of_folder(place: str) -> str:
    try:
        entries = [entry for entry in storage.entries(place) if not entry.name.startswith((".", "_"))]
    except DataError:
        if storage.is_url(place):
            raise
        return ""  # the listing says what is wrong
    folders = [entry.name for entry in entries if entry.is_folder]
    files = [entry.name.lower() for entry in entries if not entry.is_folder]
    if folders == [DATA] and not any(name.endswith(tuple(IMAGE_SUFFIXES)) for name in files):
        below = _kind_of_folder(storage.join(place, DATA))
        return below if below == "parquet" else ""
    kinds = {kind_of_name(name) for name in files} & set(IN_FOLDERS)
    if folders or len(kinds) != 1 or any(name.endswith(tuple(IMAGE_SUFFIXES)) for name in files):
        return ""
    return kinds.pop()
