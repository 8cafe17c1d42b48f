"""What server, launcher and workers say to each other: short messages on sockets that keep them apart.

A worker has parsed what a client sent, so what it says is checked like what a client says: nothing of it is unpickled, and its
only numbers are in fixed places.
"""

import json
import struct
from typing import Literal, NamedTuple

from models.errors import BrokenImageError, ImageBytesError, ImageError, ImagePixelsError, NotAnImageError
from models.images.decode import MAX_MASK_SIDE, MAX_SIDE
from models.images.headers.base import HeavyImage
from models.images.preprocess import Fit

MAX_MESSAGE = 8192
MAX_ERROR = 1000
"""Bytes of a message, and characters of an error in one."""

MAX_OUTPUT = MAX_MASK_SIDE**2
"""Bytes of what a worker decodes: a mask has the most."""

ERRORS: tuple[type[ImageError], ...] = (BrokenImageError, ImageBytesError, ImagePixelsError, NotAnImageError)
READY = b"ready"
NUMBER = struct.Struct("<q")
"""What the launcher answers, and how a request begins."""

_DONE, _HEAVY, _ERROR = 0, 1, 2
_SIZE, _SECONDS = struct.Struct("<BII"), struct.Struct("<Bd")


class Task(NamedTuple):
    """What a worker does with an image. `preprocessing` is JSON; a mask needs none."""

    kind: Literal["pixels", "mask"]
    preprocessing: str = ""
    fit: Fit | None = None
    max_bytes: int = 0
    max_pixels: int = 0

    def encode(self) -> bytes:
        """As part of a message. Servers have few different ones, and keep them."""
        return json.dumps(self).encode()

    @classmethod
    def decode(cls, text: bytes) -> "Task":
        """What `encode` gave."""
        return cls(*json.loads(text))


class Rules(NamedTuple):
    """What a worker is held to: CPU seconds an image, bytes of memory above what it has at the start, and how nice it is."""

    light: bool
    seconds: float
    memory: int
    nice: int


def request_message(size: int, task: bytes) -> bytes:
    """A task with the `size` bytes that the shared memory holds."""
    return NUMBER.pack(size) + task


def read_request(message: bytes) -> tuple[int, bytes]:
    """What is in a `request_message`."""
    return NUMBER.unpack_from(message)[0], message[NUMBER.size :]


class GarbageError(Exception):
    """A message that no worker sends unless a file has taken it over."""


def done_message(size: tuple[int, int]) -> bytes:
    """The shared memory holds what was decoded of an image of `size` (width, height)."""
    return _SIZE.pack(_DONE, *size)


def heavy_message(seconds: float) -> bytes:
    """The image was not decoded: see `HeavyImage`."""
    return _SECONDS.pack(_HEAVY, seconds)


def error_message(error: ImageError) -> bytes:
    """The image cannot be used. An error whose class is not on the list is a `BrokenImageError`."""
    kind = ERRORS.index(type(error)) if type(error) in ERRORS else 0
    return bytes((_ERROR + kind,)) + str(error)[:MAX_ERROR].encode(errors="replace")


def read_reply(message: bytes, light: bool) -> tuple[int, int]:
    """The size in a `done_message`, from a worker that is `light` or not.

    Raises:
        ImageError, HeavyImage: what the worker told.
        GarbageError: anything else.
    """
    kind = message[0]
    if kind == _DONE and len(message) == _SIZE.size:
        _, width, height = _SIZE.unpack(message)
        if 1 <= width <= MAX_SIDE and 1 <= height <= MAX_SIDE:
            return width, height
    elif kind == _HEAVY and light and len(message) == _SECONDS.size:
        (_, seconds) = _SECONDS.unpack(message)
        if 0 <= seconds < 1e6:  # not NaN
            raise HeavyImage(seconds)
    elif _ERROR <= kind < _ERROR + len(ERRORS):
        text = message[1:].decode(errors="replace")[:MAX_ERROR]
        raise ERRORS[kind - _ERROR]("".join(character if character.isprintable() else "\ufffd" for character in text))
    raise GarbageError
