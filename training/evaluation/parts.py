"""The train and the test part of `--data`, and their images one by one."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from models.errors import DataError
from models.images.preprocess import Preprocessing
from models.images.sources.base import ListOptions, Source, item_pixels
from models.images.sources.table import check_exists, open_source
from models.progress import Progress, no_progress

TRAIN, TESTS = "train", ("test", "val")
"""Folders inside `--data DIR`; `val` is the test part where there is no `test`."""


class Parts(NamedTuple):
    """Two sources with the same classes."""

    train: Source
    test: Source


def uris_of(data: str) -> list[str]:
    """The URIs that `--data` stands for: two of `fashion-mnist` or a folder with `train/` and `test/`, else what it lists."""
    if data == "fashion-mnist":
        return [f"{data}:{TRAIN}", f"{data}:test"]
    folder = Path(data.removeprefix("folder:"))
    if folder.is_dir():
        test = next((name for name in TESTS if (folder / name).is_dir()), None)
        if (folder / TRAIN).is_dir() and test:
            return [f"folder:{folder / TRAIN}", f"folder:{folder / test}"]
        return [data]
    return data.split(",")


def open_test(data: str, options: ListOptions, progress: Progress = no_progress) -> Source:
    """The test part alone: the last of `uris_of`."""
    return open_source(uris_of(data)[-1], options, progress)


def open_parts(data: str, options: ListOptions, progress: Progress = no_progress) -> Parts:
    """Both parts.

    Raises:
        DataError: no such folder, not two parts, the same images twice, no classes, or different classes.
    """
    uris = uris_of(data)
    if len(uris) == 1:
        check_exists(uris[0])
    if len(uris) != 2:
        raise DataError(
            f"--data {data!r} names {len(uris)} {'part' if len(uris) == 1 else 'parts'}; a probe needs two: TRAIN,TEST, or a "
            f"folder with {TRAIN}/ and {' or '.join(f'{name}/' for name in TESTS)} inside"
        )
    parts = Parts(*(open_source(uri, options, progress) for uri in uris))
    for part, uri in zip(parts, uris, strict=True):
        if part.labels is None:
            raise DataError(f"{uri} has no classes; put the images of each class into a folder of its own")
    if parts.train.classes != parts.test.classes:
        raise DataError(f"the two parts have different classes: {_differing(parts.train.classes, parts.test.classes)}")
    if len(parts.train) == len(parts.test) and parts.train.digest() == parts.test.digest():
        raise DataError(f"{uris[0]} and {uris[1]} hold the same images; give a test part that was not fitted on")
    return parts


def read_pixels(source: Source, index: int, preprocessing: Preprocessing) -> UInt8[np.ndarray, "H W C"]:
    """One image as the network's input.

    Raises:
        DataError: it cannot be read. Nothing takes its place, as training does it: its class would be wrong.
    """
    try:
        return item_pixels(source, index, preprocessing)
    except DataError as error:
        raise DataError(f"{error}; a probe needs every image: remove this one, or replace it, and run again") from error


def pixel_batches(source: Source, preprocessing: Preprocessing, size: int) -> Iterator[UInt8[np.ndarray, "b H W C"]]:
    """All images in order, `size` at once."""
    for start in range(0, len(source), size):
        indices = range(start, min(start + size, len(source)))
        yield np.stack([read_pixels(source, i, preprocessing) for i in indices])


def _differing(train: tuple[str, ...], test: tuple[str, ...], shown: int = 10) -> str:
    """The classes that one part has and the other has not."""
    sides = (("train", set(train) - set(test)), ("test", set(test) - set(train)))
    return "; ".join(
        f"only in {side}: {', '.join(sorted(names)[:shown])}{' ...' if len(names) > shown else ''}"
        for side, names in sides
        if names
    )
