"""`tar:FILE`, `tar:DIR`, `tar:PATTERN`: shards of WebDataset, or any tar archives of images."""

import json
from collections import Counter
from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64

from models.images import storage
from models.images.preprocess import IMAGE_SUFFIXES
from models.images.sources.base import BY_BYTES, ListOptions
from models.images.sources.encoded import (
    HIDDEN,
    EncodedImages,
    check_image_bytes,
    digest_of_files,
    no_images,
    without_repeated,
)
from models.images.sources.files import files_of, kind_of_file, list_each
from models.images.sources.labels import NO_LABELS, Labels, labels_of_folders, labels_of_values
from models.images.sources.strings import Strings
from models.images.sources.tar_index import TarIndex, tar_index
from models.progress import Progress, no_progress

SUFFIX = ".tar"


class Shard(NamedTuple):
    """The images of one archive: positions in the list of its files, and that of the file with each one's label, -1 for none."""

    files: TarIndex
    images: Int64[np.ndarray, " n"]
    labels: Int64[np.ndarray, " n"]
    skipped: Counter[str]


class TarPlaces:
    """The bytes of files in archives."""

    def __init__(
        self,
        shards: list[str],
        shard: Int64[np.ndarray, " n"],
        starts: Int64[np.ndarray, " n"],
        sizes: Int64[np.ndarray, " n"],
        names: Strings,
    ) -> None:
        self.shards, self.shard, self.starts, self.sizes, self.names = shards, shard, starts, sizes, names

    def uri(self, index: int) -> str:
        """See `Places.uri`."""
        return f"{storage.shown_place(self.shards[self.shard[index]])}#{self.names[index]}"

    def read(self, index: int) -> bytes:
        """See `Places.read`."""
        size = int(self.sizes[index])
        check_image_bytes(size, self.uri(index))
        return storage.read_range(self.shards[self.shard[index]], int(self.starts[index]), size)


def open_tar(argument: str, _: ListOptions = BY_BYTES, progress: Progress = no_progress) -> EncodedImages:
    """The images of one or more archives, in the order of the archives and of the files in them.

    Files with one name up to the first dot are a sample, whose class is in its `.cls` or `.json`. Where no sample has either,
    folders are classes. Ids are the archive's path and the file's name in it.

    Raises:
        DataError: no archive, one that is damaged, or none with images.
    """
    places, relative = files_of(argument, SUFFIX)
    shards = list_each(places, _list_shard, argument, "archives", progress)
    skipped = sum((shard.skipped for shard in shards), Counter[str]())
    number = np.repeat(np.arange(len(shards)), [len(shard.images) for shard in shards])
    names = Strings(shard.files.names[int(i)] for shard in shards for i in shard.images)
    ids = Strings(f"{relative[n]}/{name}" for n, name in zip(number, names, strict=True))
    labels = _labels_of(shards, names)
    starts = np.concatenate([shard.files.starts[shard.images] for shard in shards])
    sizes = np.concatenate([shard.files.sizes[shard.images] for shard in shards])
    if not len(ids):
        raise no_images(argument, skipped)
    kept = without_repeated(ids, skipped)
    return EncodedImages(
        ids.take(kept),
        TarPlaces(places, number[kept], starts[kept], sizes[kept], names.take(kept)),
        f"{len(places):,} tar {'archive' if len(places) == 1 else 'archives'} at {storage.name_of(argument)!r}",
        partial(digest_of_files, places),
        labels.take(kept),
        skipped,
    )


def _list_shard(place: str) -> Shard:
    files, skipped = tar_index(place), Counter[str]()
    images: list[int] = []
    labels: list[int] = []
    for sample in _samples(files.names):
        found = _images_of(sample)
        label = next((at for suffix in (".cls", ".json") for at, rest in sample if rest == suffix), -1)
        images += found
        labels += [label] * len(found)
        skipped.update(_kind(rest) for at, rest in sample if at not in found and not (found and at == label))
    return Shard(files, np.array(images, dtype=np.int64), np.array(labels, dtype=np.int64), skipped)


def _samples(names: Strings) -> Iterator[list[tuple[int, str]]]:
    """Consecutive files of one key: the index of each and what follows the key, from the first dot of its last part on."""
    sample: list[tuple[int, str]] = []
    last = None
    for index, name in enumerate(names):
        folder, slash, file = name.rpartition("/")
        base, dot, rest = file.partition(".")
        key = f"{folder}{slash}{base}"
        if key != last and sample:
            yield sample
            sample = []
        last = key
        sample.append((index, f"{dot}{rest}".lower() if base else HIDDEN))
    if sample:
        yield sample


def _images_of(sample: list[tuple[int, str]]) -> list[int]:
    """The images of a sample: the first whose whole rest is a suffix of images, else all whose last suffix is one."""
    plain = [index for index, rest in sample if rest in IMAGE_SUFFIXES]
    return plain[:1] or [index for index, rest in sample if _kind(rest) in IMAGE_SUFFIXES]


def _kind(rest: str) -> str:
    return rest if rest == HIDDEN else kind_of_file(f"key{rest}")


def _labels_of(shards: list[Shard], names: Strings) -> Labels:
    """Classes from the samples' own files, which must be there for every image; else from folders."""
    found = np.concatenate([shard.labels for shard in shards])
    if (found < 0).all():
        return labels_of_folders(names)
    if (found < 0).any():
        return NO_LABELS
    texts = (shard.files.values[int(at)] for shard in shards for at in shard.labels)
    return labels_of_values(json.loads(text) if text else None for text in texts)
