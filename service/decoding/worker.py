"""What runs in a worker: one image after another, until the server closes its end. It holds nothing of the server."""

import functools
import os
import signal
import socket
from collections.abc import Callable

import numpy as np

from models.errors import BrokenImageError, ImageError
from models.images.decode import DecodeLimits, decode_mask
from models.images.headers.base import HEAVY_SECONDS, HeavyImage
from models.images.preprocess import Preprocessing, read_pixels
from service.decoding.confine import confine
from service.decoding.messages import (
    MAX_MESSAGE,
    READY,
    Rules,
    Task,
    done_message,
    error_message,
    heavy_message,
    read_request,
)


def serve(connection: socket.socket, memory: int, rules: Rules, parent: int) -> None:
    """Decode what `connection` asks for and the file `memory` holds.

    The kernel ends the process where an image takes more CPU time than `rules` allow, in whatever library that is.
    """
    confine(rules, parent)
    connection.send(READY)
    while message := connection.recv(MAX_MESSAGE):
        signal.setitimer(signal.ITIMER_PROF, rules.seconds)  # waiting takes none of it
        connection.send(answer(message, memory, rules.light))


def answer(message: bytes, memory: int, light: bool) -> bytes:
    """Do what a request asks for. What was decoded takes the place of the file."""
    size, task = read_request(message)
    try:
        pixels, seen = _decoder(task, light)(os.pread(memory, size, 0))
        os.pwrite(memory, pixels.reshape(-1).data, 0)
        return done_message(seen)
    except HeavyImage as heavy:
        return heavy_message(heavy.seconds)
    except ImageError as error:
        return _no_memory(light) if isinstance(error.__cause__, MemoryError) else error_message(error)
    except MemoryError:
        return _no_memory(light)
    except Exception as error:  # noqa: BLE001 -- whatever it is, it is about this image
        return error_message(BrokenImageError(f"this image cannot be decoded ({type(error).__name__})"))


def _no_memory(light: bool) -> bytes:
    """A heavy worker has more."""
    if light:
        return heavy_message(HEAVY_SECONDS)
    return error_message(BrokenImageError("this image cannot be decoded: there is not enough memory for it"))


@functools.lru_cache(maxsize=256)
def _decoder(text: bytes, light: bool) -> Callable[[bytes], tuple[np.ndarray, tuple[int, int]]]:
    """What does a task: from the file to what is decoded and the size of the image."""
    task = Task.decode(text)
    if task.kind == "mask":
        return functools.partial(_mask, light=light)
    preprocessing = Preprocessing.model_validate_json(task.preprocessing)
    limits = DecodeLimits(task.max_bytes, task.max_pixels, light)
    return functools.partial(read_pixels, preprocessing=preprocessing, fit=task.fit, limits=limits)


def _mask(data: bytes, light: bool) -> tuple[np.ndarray, tuple[int, int]]:
    mask = decode_mask(data, light)
    return mask.view(np.uint8), (mask.shape[1], mask.shape[0])
