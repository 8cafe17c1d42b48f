"""Many images, one after the other, over a few kept connections."""

import asyncio

from tests.hostile.client import Kept, post
from tests.hostile.corpus.base import problems_of

STATUSES = frozenset({200, 400, 413, 415, 422, 429})
"""What any bytes may be answered with."""
CONNECTIONS = 4


async def post_all(port: int, bodies: list[bytes]) -> list[tuple[int, list[str]]]:
    """The status of each, and what was wrong with the reply."""
    found: list[tuple[int, list[str]]] = [(0, [])] * len(bodies)

    async def one(first: int) -> None:
        kept = Kept(port)
        for number in range(first, len(bodies), CONNECTIONS):
            reply = await kept.ask(post(bodies[number]))
            found[number] = reply.status, [f"mutant {number}: {text}" for text in problems_of(reply, STATUSES)]
        kept.close()

    await asyncio.gather(*(one(first) for first in range(CONNECTIONS)))
    return found
