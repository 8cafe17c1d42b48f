"""The attacks of the findings that this part of the tests began with: a few requests, sent again and again over some connections."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from tests.hostile.client import Kept, Reply, post
from tests.hostile.corpus.base import problems_of
from tests.hostile.corpus.large import large_form, large_json
from tests.hostile.corpus.regions import ask as predict
from tests.hostile.corpus.regions import half_mask
from tests.hostile.images import jpeg, tiff, webp
from tests.hostile.images.base import LIMIT_SIDE
from tests.hostile.images.png import zeros
from tests.hostile.ordinary import list_of, photo

PAUSE_SECONDS = 0.05
"""After a reply that was not 200: even rude clients have to wait for the network."""
BUSY = frozenset({429, 503, 504})
"""What an attack may be told whatever it sends."""


class Attack(NamedTuple):
    """Its requests, over how many connections, and what it may be told beside `BUSY`."""

    requests: Callable[[], list[bytes]]
    connections: int
    statuses: frozenset[int]


class Result(NamedTuple):
    """Replies by status, the slowest in seconds, and what was wrong with them."""

    statuses: Counter[int]
    slowest: float
    problems: list[str]


async def run(port: int, attack: Attack, seconds: float) -> Result:
    """Each connection sends its next request when the last one is answered, until the time is over."""
    requests = attack.requests()
    statuses: Counter[int] = Counter()
    replies: list[Reply] = []
    until = time.monotonic() + seconds

    async def one(number: int) -> None:
        kept = Kept(port)
        while time.monotonic() < until:
            reply = await kept.ask(requests[number % len(requests)], 90)
            statuses[reply.status] += 1
            replies.append(reply._replace(seconds=0.0))
            slowest[0] = max(slowest[0], reply.seconds)
            if reply.status != 200:
                await asyncio.sleep(PAUSE_SECONDS)
            number += 1
        kept.close()

    slowest = [0.0]
    await asyncio.gather(*(one(number) for number in range(attack.connections)))
    allowed = attack.statuses | BUSY | frozenset({408})
    problems = [problem for reply in replies for problem in problems_of(reply, allowed)]
    return Result(statuses, slowest[0], problems[:5])


def of_webp() -> list[bytes]:
    """40 bytes that cost a second, alone and 32 times in 4 kB."""
    image = webp.flat(LIMIT_SIDE, LIMIT_SIDE)
    return [list_of(image), post(image)]


def of_bombs() -> list[bytes]:
    """What passes a limit on pixels."""
    tile = tiff.tile_bomb(32, 32, (32, 16_711_712), zeros(14_000_000), 3)
    return [post(tile), post(jpeg.many_scans(4000, 3_000)), list_of(tile, 8), post(jpeg.many_scans(7000, 90))]


def of_json() -> list[bytes]:
    """Bodies of 60 MB."""
    return [
        large_json("60 MB of unknown options"),
        large_json("60 MB of empty lists"),
        large_form("request of 60 MB"),
        large_form("request of 60 MB of options"),
    ]


def of_masks() -> list[bytes]:
    """64 masks of 4096 x 4096 in 184 kB."""
    return [predict(targets=[{"mask": half_mask(4096)}] * 64)]


def of_returns() -> list[bytes]:
    """1.3 MB that ask for the same thing 100,000 times."""
    return [predict(**{"return": ["predicted"] * 100_000}), predict(**{"return": ["predicted"] * 50_000})]


def of_large_images() -> list[bytes]:
    """49 megapixels."""
    side = LIMIT_SIDE - 71
    return [post(photo(side, side)), post(jpeg.large(side, progressive=True)), post(webp.flat(side, side))]


BAD = frozenset({400, 413})

ATTACKS: dict[str, Attack] = {
    "1: 40-byte WebP, 32 in a request": Attack(of_webp, 8, frozenset({200, 413, 422})),
    "1: 32 large JPEGs in a request": Attack(lambda: [list_of(photo(3000, 2000))], 4, frozenset({200})),
    "2: TIFF tiles and JPEG scans": Attack(of_bombs, 8, frozenset({200, 413, 422})),
    "3: 60 MB of JSON and forms": Attack(of_json, 4, BAD),
    "4: return, 100,000 times": Attack(of_returns, 4, BAD),
    "7: 64 masks of 4096 x 4096": Attack(of_masks, 4, BAD),
    "9: images of 49 MP": Attack(of_large_images, 6, frozenset({200, 413, 422})),
}
"""By the number of the finding."""
