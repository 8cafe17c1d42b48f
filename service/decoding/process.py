"""A worker as the server sees it: bytes go in, pixels come out, and whatever happens in between is about that one image."""

import functools
import os
import signal
import socket
import struct
import threading
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, UInt8

from models.errors import BrokenImageError
from models.images.decode import MAX_MASK_SIDE, DecodeLimits, check_bytes
from models.images.headers.base import HeavyImage
from models.images.preprocess import Fit, Preprocessing
from service.decoding.messages import MAX_MESSAGE, READY, GarbageError, Rules, Task, read_reply, request_message
from service.decoding.starter import START_SECONDS, Starter
from service.errors import Draining, NotReady

LIGHT_SECONDS = 1.0
"""CPU seconds after which a light worker gives up an image that its header said was cheap."""

LIGHT_MEMORY, HEAVY_MEMORY = 200_000_000, 900_000_000
"""Memory that decoding may take: of light workers, more than any image that is not heavy; of the heavy one, 50 megapixels of anything.

WebP takes most, 16.3 bytes a pixel.
"""

HEAVY_NICE = 5
"""How much other threads are preferred to heavy images."""

PATIENCE = 4
"""How many times longer than its CPU seconds an image may take where others have the processors."""

_MASK_TASK = Task("mask").encode()

KEPT_BYTES = 1_000_000
"""What the shared memory keeps between images."""


class _Process(NamedTuple):
    launcher: int
    pid: int
    connection: socket.socket
    memory: int


class Worker:
    """See `ImageReader`. One image at a time; `close` may be called from any thread. The process starts with the first image.

    A light worker raises `HeavyImage` for an image that costs much: by its header, or because it gave up after `LIGHT_SECONDS`.
    """

    def __init__(self, starter: Starter, *, light: bool, decode_seconds: float = 10.0) -> None:
        self._starter = starter
        seconds = min(LIGHT_SECONDS, decode_seconds) if light else decode_seconds
        self._rules = Rules(light, seconds, LIGHT_MEMORY if light else HEAVY_MEMORY, 0 if light else HEAVY_NICE)
        self._process: _Process | None = None
        self._starts = 0
        self._in_use = threading.Lock()
        self._lock = threading.Lock()  # of the attributes
        self._closed = False

    @property
    def restarts(self) -> int:
        """How often a process was started after the first one."""
        return max(0, self._starts - 1)

    @property
    def pid(self) -> int | None:
        """The worker's process, while there is one."""
        return self._process.pid if self._process else None

    def read_pixels(
        self,
        data: bytes,
        preprocessing: Preprocessing,
        fit: Fit | None = None,
        limits: DecodeLimits = DecodeLimits(),  # noqa: B008 -- an immutable record
    ) -> tuple[UInt8[np.ndarray, "H W C"], tuple[int, int]]:
        check_bytes(data, limits)
        shape = (*preprocessing.size, preprocessing.channels)
        return self._do(_pixels_task(preprocessing, fit, limits), data, shape)

    def decode_mask(self, data: bytes) -> Bool[np.ndarray, "mh mw"]:
        mask, _ = self._do(_MASK_TASK, data, None)
        return mask != 0

    def start(self) -> None:
        """Start the process now, and wait until it is ready."""
        with self._in_use:
            self._ready()

    def close(self) -> None:
        with self._lock:
            self._closed = True
            process = self._process
        if process:
            self._starter.end(process.launcher, process.pid)  # a thread that waits for it hears that at this moment
        with self._in_use:
            if self._process:
                self._forget(self._process)

    def _do(self, task: bytes, data: bytes, shape: tuple[int, ...] | None) -> tuple[np.ndarray, tuple[int, int]]:
        """What the worker makes of `data`, in `shape`, or in that of the image, and the size of the image."""
        with self._in_use:
            return self._do_alone(task, data, shape)

    def _do_alone(self, task: bytes, data: bytes, shape: tuple[int, ...] | None) -> tuple[np.ndarray, tuple[int, int]]:
        process = self._ready()
        try:
            self._send(process, task, data)
        except OSError:  # it ended while it had nothing to do
            self._end(process)
            process = self._ready()
            self._send(process, task, data)
        used = len(data)
        try:
            reply = process.connection.recv(MAX_MESSAGE)
            if not reply:
                raise self._stopped(self._end(process))
            size = read_reply(reply, self._rules.light)
            pixels = self._take(process, shape or _mask_shape(size))
            used = max(used, pixels.nbytes)
            return pixels, size
        except BlockingIOError as error:
            self._end(process)
            raise self._late() from error
        except (GarbageError, OSError) as error:
            raise self._stopped(self._end(process)) from error
        finally:
            if used > KEPT_BYTES and self._process is process:
                os.ftruncate(process.memory, 0)

    def _send(self, process: _Process, task: bytes, data: bytes) -> None:
        written = 0
        while written < len(data):
            written += os.pwrite(process.memory, data[written:] if written else data, written)
        process.connection.send(request_message(len(data), task))

    def _take(self, process: _Process, shape: tuple[int, ...]) -> np.ndarray:
        pixels = np.empty(shape, np.uint8)
        if os.preadv(process.memory, [pixels.reshape(-1).data], 0) != pixels.nbytes:
            raise GarbageError
        return pixels

    def _ready(self) -> _Process:
        """The process; a new one where there is none.

        Raises:
            NotReady, Draining: see `Starter.start`.
        """
        if self._closed:
            raise Draining("the server is stopping")
        return self._process or self._start()

    def _start(self) -> _Process:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        memory = os.memfd_create("image")
        try:
            with theirs:
                launcher, pid = self._starter.start(self._rules, theirs, memory)
            process = _Process(launcher, pid, ours, memory)
            _set_timeout(ours, START_SECONDS)
            if not _hears_ready(ours):
                self._starter.end(launcher, pid)
                self._starter.started(False)
                raise NotReady("a decoder ended at its start; try again")
            self._starter.started(True)
            _set_timeout(ours, PATIENCE * self._rules.seconds)
            with self._lock:
                if self._closed:
                    self._starter.end(launcher, pid)
                    raise Draining("the server is stopping")
                self._process = process
        except BaseException:
            ours.close()
            os.close(memory)
            raise
        self._starts += 1
        return process

    def _end(self, process: _Process) -> int | None:
        """End the process: see `Starter.end`."""
        self._forget(process)
        return self._starter.end(process.launcher, process.pid)

    def _forget(self, process: _Process) -> None:
        with self._lock:
            self._process = None
        process.connection.close()
        os.close(process.memory)

    def _stopped(self, status: int | None) -> Exception:
        """What to say of the image on which the process ended."""
        if self._closed or self._starter.closed:
            return Draining("the server is stopping")
        if status is None:
            return NotReady("the decoder was ended, with all others; try again")
        if status == -signal.SIGPROF:
            return self._late()
        return BrokenImageError("the decoder stopped on this image")

    def _late(self) -> Exception:
        if self._rules.light:
            return HeavyImage(self._rules.seconds)
        return BrokenImageError(f"this image could not be decoded within {self._rules.seconds:g} s of CPU time")


def _set_timeout(connection: socket.socket, seconds: float) -> None:
    """How long a call waits before it raises `BlockingIOError`: Python's own timeouts ask the system twice."""
    connection.setsockopt(
        socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("@ll", int(seconds), int(seconds % 1 * 1e6))
    )


def _hears_ready(connection: socket.socket) -> bool:
    try:
        return connection.recv(MAX_MESSAGE) == READY
    except OSError:
        return False


def _mask_shape(size: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns.

    Raises:
        GarbageError: more than a mask may have.
    """
    if max(size) > MAX_MASK_SIDE:
        raise GarbageError
    return size[1], size[0]


@functools.lru_cache(maxsize=256)
def _pixels_task(preprocessing: Preprocessing, fit: Fit | None, limits: DecodeLimits) -> bytes:
    return Task("pixels", preprocessing.model_dump_json(), fit, limits.max_bytes, limits.max_pixels).encode()
