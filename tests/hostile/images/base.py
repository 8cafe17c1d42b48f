"""A hostile image, and ordinary ones to make them from."""

import io
from collections.abc import Callable, Iterable
from functools import partial
from typing import NamedTuple

import numpy as np
from PIL import Image

READ = frozenset({200})
BROKEN = frozenset({422})
TOO_LARGE = frozenset({413})
NOT_AN_IMAGE = frozenset({415})
MAYBE = READ | BROKEN
"""Damage that a reader may or may not see."""
BOMB = BROKEN | TOO_LARGE
COSTLY = READ | BROKEN | TOO_LARGE
"""Within every limit that its header tells, and made to cost as much as that allows."""

WIDTH, HEIGHT = 60, 40
LIMIT_SIDE = 7_071
"""Of the largest square image that is within 50 million pixels."""


class HostileImage(NamedTuple):
    """How it is made, and the statuses that it may be answered with. `slow`: it takes the server or its maker a second or more."""

    name: str
    make: Callable[[], bytes]
    statuses: frozenset[int]
    slow: bool = False


def of_bytes(cases: Iterable[tuple[str, bytes, frozenset[int]]]) -> list[HostileImage]:
    """Images that are made already: their names, bytes and statuses."""
    return [HostileImage(name, partial(bytes, data), statuses) for name, data, statuses in cases]


def noise(mode: str = "RGB") -> Image.Image:
    """Seeded noise on a gradient: it compresses badly, so that its files have data of some length."""
    rng = np.random.default_rng(0)
    ramp = np.linspace(0, 200, WIDTH)[None, :, None]
    pixels = (ramp + rng.integers(0, 56, (HEIGHT, WIDTH, 3))).astype(np.uint8)
    return Image.fromarray(pixels).convert(mode)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    """The image as a file."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()
