"""Batches of random crops, read ahead by threads."""

import logging
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64, UInt8
from PIL import Image

from models.errors import DataError
from models.images.preprocess import Preprocessing, resample
from models.images.sources.base import Source
from models.rng import Stream, uniforms
from training.config import DataConfig
from training.data.sampler import Sampler
from training.data.views import random_view

log = logging.getLogger(__name__)

MAX_BROKEN_IN_A_ROW = 100


class Reader:
    """Opens images; one that cannot be read is replaced by the next that can, so a long run does not end for one bad file.

    `broken` has the index and the error of each image that could not be read; each is logged once.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self.broken: dict[int, str] = {}
        self._lock = threading.Lock()

    def open(self, index: int) -> Image.Image:
        """An image, or the next that can be read.

        Raises:
            DataError: none of the next hundred can be read.
        """
        tried = min(MAX_BROKEN_IN_A_ROW, len(self.source))
        for offset in range(tried):
            candidate = (index + offset) % len(self.source)
            try:
                return self.source.open(candidate)
            except DataError as error:
                self._report(candidate, str(error))
        raise DataError(f"{self.source.description}: none of {tried} images in a row can be read")

    def _report(self, index: int, error: str) -> None:
        with self._lock:
            new = index not in self.broken
            self.broken[index] = error
        if new:
            log.warning("%s; the next image is used in its place", error)


class Batch(NamedTuple):
    """Training views of one step, and which images they were cut from."""

    epoch: int
    samples: Int64[np.ndarray, " B"]
    pixels: UInt8[np.ndarray, "B H W C"]


class Batches:
    """The batches of a run, from any step on."""

    def __init__(self, reader: Reader, config: DataConfig, recipe: Preprocessing, batch_size: int, seed: int) -> None:
        self.reader, self.sampler = reader, Sampler(len(reader.source), batch_size, seed)
        self.config, self.recipe, self.seed = config, recipe, seed

    def load(self, epoch: int, samples: Int64[np.ndarray, " B"]) -> Batch:
        """Read the images and cut a random crop of each."""
        u = uniforms(self.seed, Stream.CROP, epoch, samples, n=5)
        views = np.empty((len(samples), *self.recipe.size, self.recipe.channels), dtype=np.uint8)
        for i, sample in enumerate(samples):
            image = self.reader.open(int(sample))
            view = resample(image, self.recipe, random_view(image.size, self.config, u[i]))
            views[i] = view[:, ::-1] if self.config.flip and u[i, 4] < 0.5 else view
        return Batch(epoch, samples, views)

    def stream(self, first: int, last: int, workers: int) -> Iterator[Batch]:
        """The batches of steps `first` to `last` (not included), a few read ahead by threads."""
        with ThreadPoolExecutor(workers, thread_name_prefix="data") as pool:
            waiting: list[Future[Batch]] = []
            for step in range(first, last + workers):
                if step < last:
                    waiting.append(pool.submit(self.load, *self.sampler.samples(step)))
                if step >= first + workers:
                    yield waiting.pop(0).result()
