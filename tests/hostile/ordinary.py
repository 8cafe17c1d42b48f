"""Ordinary work: what a server has done before its memory is measured, and what it is overloaded with."""

import asyncio
from collections.abc import Callable

import numpy as np
from PIL import Image

from tests.hostile.client import OPENAI, ask, post, post_json
from tests.hostile.corpus.base import small_png, text_of
from tests.hostile.images.base import encoded
from tests.hostile.images.png import flat
from tests.hostile.mutants import originals
from tests.hostile.server import Server

RUNTIME = ("--runtime", "onnxruntime", "--precision", "float32")
"""Nothing is measured at the start, which would take seconds. All limits are the default ones."""


def photo(width: int, height: int, quality: int = 75, **options: object) -> bytes:
    """A JPEG as large as a photograph, of smooth noise."""
    rng = np.random.default_rng(0)
    small = Image.fromarray(rng.integers(0, 256, (height // 16, width // 16, 3), dtype=np.uint8))
    return encoded(small.resize((width, height), Image.Resampling.BICUBIC), "JPEG", quality=quality, **options)


def list_of(data: bytes, count: int = 32) -> bytes:
    """A JSON request of so many images."""
    return post_json({"input": [text_of(data)] * count}, OPENAI)


def warm_up(server: Server) -> None:
    """Ordinary images of every format, lists of them and large ones: what these need is not what hostile clients cost."""
    requests = [post(data) for files in originals().values() for data in files]
    requests += [list_of(small_png())] * 4 + [post(photo(4000, 3000))] * 4 + [post(flat(5000, 4000))]

    async def statuses() -> set[int]:
        return {reply.status for reply in await asyncio.gather(*(ask(server.port, data) for data in requests))}

    found = asyncio.run(statuses())
    assert found == {200}, f"{found}: {server.log_text()}"


OVERLOADS: dict[str, Callable[[], bytes]] = {
    "one image of 5 MP": lambda: post(flat(2500, 2000)),
    "32 images in JSON": lambda: list_of(flat(900, 700)),
}
"""Requests of which a machine of two cores does some tens a second, so that a client on it can send twenty times as many."""
