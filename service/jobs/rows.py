"""From rows to outcomes. Whatever is raised for one image costs that image's row and no other."""

import hashlib
import itertools
import logging
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from functools import partial
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, UInt8

from models.bundle.manifest import Manifest
from models.errors import DataError, ImageBytesError, ImageError, ImagePixelsError, StoreError
from models.images.decode import DecodeLimits
from models.images.preprocess import read_pixels
from models.inference.ahead import read_ahead
from models.runtimes.networks import Networks
from service.errors import Internal, NotFound, ServiceError, translate
from service.jobs.listing import Row
from service.jobs.sinks.base import Outcome
from service.operations.base import EmbedOptions
from service.operations.embed import embed_pixels

LIMITS = {ImageBytesError: "IJEPA_MAX_IMAGE_BYTES", ImagePixelsError: "IJEPA_MAX_PIXELS"}
"""The setting behind the error of an image that is too large."""

log = logging.getLogger(__name__)


class RowWork(NamedTuple):
    """What is done to every row. `read` gives the bytes of an id, or raises DataError."""

    read: Callable[[str], bytes]
    manifest: Manifest
    networks: Networks
    options: EmbedOptions
    limits: DecodeLimits


class Read(NamedTuple):
    """A row that was read: its pixels, or an outcome that says why there are none."""

    outcome: Outcome
    pixels: UInt8[np.ndarray, "H W C"] | None


def embed_rows(shards: Iterable[Sequence[Row]], work: RowWork, batch: int) -> Generator[list[Outcome], None, None]:
    """The rows of all shards in order, in batches of the same rows every time; no batch has rows of two shards.

    The next two batches are read while one is computed. Close the generator to end it earlier.
    """
    groups, ahead = itertools.tee(
        rows[start : start + batch] for rows in shards for start in range(0, len(rows), batch)
    )
    reads = read_ahead(itertools.chain.from_iterable(ahead), partial(read_row, work), 2 * batch)
    with closing(reads):
        for group in groups:
            yield embed_batch(list(itertools.islice(reads, len(group))), work)


def read_row(work: RowWork, row: Row) -> Read:
    """Read, decode and preprocess one image.

    Raises:
        StoreError: the store of the image does not answer; the job ends, and goes on when it is started again.
    """
    digest = None
    try:
        data = work.read(row.id)
        digest = hashlib.sha256(data).hexdigest()
        pixels, size = read_pixels(data, work.manifest.model.pixels, work.options.fit, work.limits)
    except StoreError:
        raise
    except Exception as error:  # noqa: BLE001 -- a job goes on, whatever one image does
        return Read(failed(row, digest, None, error), None)
    return Read(Outcome(row, digest, size, None, "ok", None), pixels)


def embed_batch(batch: Sequence[Read], work: RowWork) -> list[Outcome]:
    """The embeddings of the images that could be read, in one batch; the other rows as they are."""
    results = iter(embed_or_fail([read.pixels for read in batch if read.pixels is not None], work))
    return [read.outcome if read.pixels is None else finished(read.outcome, next(results)) for read in batch]


def embed_or_fail(
    images: Sequence[UInt8[np.ndarray, "H W C"]], work: RowWork
) -> list[Float[np.ndarray, "..."] | Exception]:
    """The embedding of each image, or why it has none. A batch that fails is computed again, one image at a time.

    Raises:
        Exception: the runtime computes nothing any more, not even a black image.
    """
    if not images:
        return []
    try:
        return list(embed(np.stack(images), work))
    except Exception as error:  # noqa: BLE001 -- see `read_row`
        log.warning("a batch of %d images failed and is computed one image at a time: %s", len(images), error)
    results = [embed_alone(pixels, work) for pixels in images]
    if all(isinstance(result, Exception) for result in results):
        embed(np.zeros_like(images[0])[None], work)
    return results


def embed_alone(pixels: UInt8[np.ndarray, "H W C"], work: RowWork) -> Float[np.ndarray, "..."] | Exception:
    """The embedding of one image, or the exception."""
    try:
        return embed(pixels[None], work)[0]
    except Exception as error:  # noqa: BLE001 -- see `read_row`
        return error


def embed(pixels: UInt8[np.ndarray, "B H W C"], work: RowWork) -> Float[np.ndarray, "B ..."]:
    """See `embed_pixels`."""
    return embed_pixels(work.networks, work.manifest, pixels, work.options)


def finished(outcome: Outcome, result: Float[np.ndarray, "..."] | Exception) -> Outcome:
    """The outcome of an image that was read, with what the network gave."""
    if isinstance(result, Exception):
        return failed(outcome.row, outcome.sha256, outcome.size, result)
    return outcome._replace(values=result)


def failed(row: Row, digest: str | None, size: tuple[int, int] | None, error: Exception) -> Outcome:
    """The row of an image that failed. The status is an error code of the service; what nobody expected is logged."""
    message = str(error)
    if isinstance(error, DataError):
        code = NotFound.code
    elif isinstance(error, ImageError) and isinstance(known := translate(error), ServiceError):
        code = known.code
        if setting := LIMITS.get(type(error)):
            message += f"; {setting} sets the limit"
    else:
        code, message = Internal.code, f"{type(error).__name__}: {error}"
        log.error("image %s failed: %s", row.id, message, exc_info=error)
    return Outcome(row, digest, size, None, code, message)
