"""The order of images, by arithmetic: the batch of a step is a function of (seed, step)."""

import numpy as np
from jaxtyping import Int64

from models.errors import DataError
from models.rng import Stream, bits


class Sampler:
    """Batches of a shuffled epoch, whose last, partial batch is dropped. The order is a function of (seed, epoch)."""

    def __init__(self, count: int, batch_size: int, seed: int) -> None:
        self.count, self.batch_size, self.seed = count, batch_size, seed
        self.per_epoch = count // batch_size
        if not self.per_epoch:
            raise DataError(f"{count} images do not fill one batch; use optim.batch_size={count} or less")
        self._order: tuple[int, Int64[np.ndarray, " n"]] = (-1, np.empty(0, dtype=np.int64))

    def samples(self, step: int) -> tuple[int, Int64[np.ndarray, " B"]]:
        """The epoch of a step (from 0) and the images of its batch."""
        epoch, position = divmod(step, self.per_epoch)
        if self._order[0] != epoch:
            keys = bits(self.seed, Stream.ORDER, epoch, np.arange(self.count))
            self._order = (epoch, np.argsort(keys, kind="stable"))
        return epoch, self._order[1][position * self.batch_size :][: self.batch_size]
