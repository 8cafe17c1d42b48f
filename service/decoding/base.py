"""What decodes the images of requests: the interface, and the member that decodes on the calling thread."""

import os
import socket
import sys
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, UInt8

from models.images.decode import DecodeLimits, decode_mask
from models.images.preprocess import Fit, Preprocessing, read_pixels


@runtime_checkable
class ImageReader(Protocol):
    """Decodes one image after another, for one thread."""

    @property
    def restarts(self) -> int:
        """How often what decodes had to be started again."""
        ...

    def start(self) -> None:
        """Make ready before the first image, which otherwise does it.

        Raises:
            NotReady, Draining: see `read_pixels`.
        """
        ...

    def read_pixels(
        self, data: bytes, preprocessing: Preprocessing, fit: Fit | None = None, limits: DecodeLimits = ...
    ) -> tuple[UInt8[np.ndarray, "H W C"], tuple[int, int]]:
        """See `models.images.preprocess.read_pixels`.

        Raises:
            ImageError: see there; a `BrokenImageError` too where decoding takes too long or too much memory.
            HeavyImage: see `Worker`.
            NotReady, Draining: no worker could be started, or the reader was closed.
        """
        ...

    def decode_mask(self, data: bytes) -> Bool[np.ndarray, "mh mw"]:
        """See `models.images.decode.decode_mask`, and the errors of `read_pixels`."""
        ...

    def close(self) -> None:
        """Stop, whatever is being decoded. From any thread."""
        ...


class ThreadReader:
    """Decodes on the calling thread, for systems that lack what workers need. Nothing can be cut off."""

    restarts = 0

    def start(self) -> None:
        """There is nothing to start."""

    def read_pixels(
        self,
        data: bytes,
        preprocessing: Preprocessing,
        fit: Fit | None = None,
        limits: DecodeLimits = DecodeLimits(),  # noqa: B008 -- an immutable record
    ) -> tuple[UInt8[np.ndarray, "H W C"], tuple[int, int]]:
        return read_pixels(data, preprocessing, fit, limits)

    def decode_mask(self, data: bytes) -> Bool[np.ndarray, "mh mw"]:
        return decode_mask(data)

    def close(self) -> None:
        """There is nothing to stop."""


def workers_supported() -> bool:
    """Whether this system has what `Worker` needs: memory without a name, and limits that hold."""
    return sys.platform == "linux" and hasattr(os, "memfd_create") and hasattr(socket, "send_fds")
