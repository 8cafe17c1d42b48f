"""`parquet:FILE`, `parquet:DIR`, `parquet:PATTERN`, `hf://datasets/OWNER/NAME:SPLIT`: images in a column of bytes."""

import hashlib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pyarrow as pa
from jaxtyping import Int64

from models.images import storage
from models.images.sources.base import BY_BYTES, ListOptions
from models.images.sources.encoded import EncodedImages, digest_of_files, no_images
from models.images.sources.files import LISTED_TOGETHER, files_of, list_each
from models.images.sources.idx import ID_DIGITS
from models.images.sources.labels import NO_LABELS, Labels, label_value, labels_of_numbers, labels_of_values
from models.images.sources.parquet_files import ParquetInfo, RowGroups, read_column, read_info
from models.images.sources.splits import choose_split, is_dataset, split_of_dataset
from models.progress import Progress, no_progress

SUFFIX = ".parquet"


class NumberedIds:
    """Ids of rows: the name of the file, a slash and the number of the row in it."""

    def __init__(self, names: list[str], counts: Int64[np.ndarray, " f"]) -> None:
        self.names, self.ends = names, np.cumsum(counts)
        self.number = {name: number for number, name in enumerate(names)}

    def __len__(self) -> int:
        return int(self.ends[-1])

    def __getitem__(self, index: int) -> str:
        index = range(len(self))[index]
        number = int(np.searchsorted(self.ends, index, side="right"))
        return f"{self.names[number]}/{index - self._first(number):0{ID_DIGITS}d}"

    def find(self, text: str, /) -> int | None:
        """See `Ids.find`. A row may be written with any number of digits."""
        name, _, row = text.rpartition("/")
        number = self.number.get(name)
        if number is None or not (row.isascii() and row.isdecimal()) or len(row) > 18:
            return None
        index = self._first(number) + int(row)
        return index if index < self.ends[number] else None

    def _first(self, number: int) -> int:
        return int(self.ends[number - 1]) if number else 0


def open_parquet(argument: str, _: ListOptions = BY_BYTES, progress: Progress = no_progress) -> EncodedImages:
    """The rows of one or more files in order. Of several splits in a folder, `train` is taken and the others are counted.

    Raises:
        DataError: no file, one that is damaged, or no images.
    """
    places, names, split, skipped = _files(argument)
    infos = list_each(places, read_info, argument, "files", progress)
    labels = _labels_of(infos)
    counts = np.array([info.metadata.num_rows for info in infos], dtype=np.int64)
    if not counts.sum():
        raise no_images(argument, skipped)
    groups = RowGroups(infos)
    described = "\n".join(f"{name} {count}" for name, count in zip(names, counts, strict=True))
    return EncodedImages(
        NumberedIds(names, counts),
        groups,
        f"{f'the split {split!r} of ' if split else ''}{storage.name_of(argument)!r}",
        partial(digest_of_files, places),
        labels,
        skipped,
        fingerprint=hashlib.sha256(described.encode()).hexdigest()[:16],
        blocks=groups.firsts,
    )


def _files(argument: str) -> tuple[list[str], list[str], str, Counter[str]]:
    """The files, their names in ids, the split that they are of, and what is left out."""
    if is_dataset(argument):
        chosen = split_of_dataset(argument)
    else:
        places, names = files_of(argument, SUFFIX)
        if not storage.is_folder(argument):
            return places, names, "", Counter()
        chosen = choose_split(argument, names, "", argument)
    places = [storage.join(chosen.folder, name) for name in chosen.names]
    return places, chosen.names, chosen.split, chosen.others


def _labels_of(infos: list[ParquetInfo]) -> Labels:
    """Classes from the column of labels, which must be the same one in all files and have a value in every row.

    Files that name different classes have the classes of all.

    Raises:
        DataError: the column cannot be read.
    """
    label = infos[0].columns.label
    if not label or any(info.columns.label != label for info in infos):
        return NO_LABELS
    with ThreadPoolExecutor(LISTED_TOGETHER) as pool:
        columns = list(pool.map(lambda info: read_column(info, list(range(len(info.rows))), label), infos))
    if any(column.null_count for column in columns):
        return NO_LABELS
    if not all(pa.types.is_integer(column.type) for column in columns):
        return labels_of_values(label_value(value.as_py()) for column in columns for value in column)
    numbers = [column.to_numpy().astype(np.int64) for column in columns]
    names = [info.columns.names for info in infos]
    if len(set(names)) == 1:
        return labels_of_numbers(np.concatenate(numbers), names[0])
    parts = [labels_of_numbers(*pair) for pair in zip(numbers, names, strict=True)]
    if not all(names) or any(part.numbers is None for part in parts):
        return NO_LABELS
    return labels_of_values(part.classes[i] for part in parts for i in part.numbers)  # type: ignore[union-attr]
