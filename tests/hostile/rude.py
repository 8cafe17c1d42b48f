"""Clients that are slow, silent, gone, or do not read. Each says how its connections ended: by a status, `closed` or `open`."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from tests.hostile.client import EMBED, HOST, JSON, OPENAI, Kept, post, post_json, read_reply, request
from tests.hostile.corpus.base import small_png, text_of

ASSET = "/docs/assets/swagger-ui-bundle.js"
"""The largest response that costs nothing to ask for."""
MAX_BODY = 63_000_000

Ends = Counter[str]
Client = Callable[[int, float, int], Awaitable[str]]
"""From the port, the seconds that it lasts, and its number, to how it ended."""


class Rude(NamedTuple):
    """A kind of client, how many there are at the same time, and for how long."""

    client: Client
    clients: int
    seconds: float


async def run(port: int, rude: Rude) -> Ends:
    """All of them together."""
    ends = await asyncio.gather(*(rude.client(port, rude.seconds, number) for number in range(rude.clients)))
    return Counter(ends)


async def _opened(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection(HOST, port)


async def _end_of(reader: asyncio.StreamReader, seconds: float) -> str:
    """What comes within some seconds."""
    try:
        async with asyncio.timeout(max(0.01, seconds)):
            status, _, _ = await read_reply(reader)
            return str(status)
    except TimeoutError:
        return "open"
    except (OSError, asyncio.IncompleteReadError, ValueError):
        return "closed"


async def _dripped(port: int, head: bytes, piece: bytes, pause: float, seconds: float) -> str:
    """A head, then piece after piece until there is a reply or the time is over."""
    try:
        reader, writer = await _opened(port)
    except OSError:
        return "closed"
    writer.write(head)
    reply = asyncio.create_task(_end_of(reader, seconds))
    while not reply.done():
        try:
            writer.write(piece)
            async with asyncio.timeout(1):
                await writer.drain()
        except (OSError, TimeoutError):
            pass
        await asyncio.wait([reply], timeout=pause)
    writer.transport.abort()
    return await reply


async def silent(port: int, seconds: float, number: int) -> str:
    """Connects and says nothing."""
    return await _dripped(port, b"", b"", 0.5, seconds)


async def idle(port: int, seconds: float, number: int) -> str:
    """Asks once, and says nothing more."""
    kept = Kept(port)
    try:
        await kept.ask(request("GET", "/health"))
        return await _end_of(kept.reader, seconds) if kept._writer else "closed"
    finally:
        kept.close()


async def slow_head(port: int, seconds: float, number: int) -> str:
    """A byte of a header in a while."""
    return await _dripped(port, b"POST / HTTP/1.1\r\nHost: localhost\r\nX: ", b"a", 0.3, seconds)


async def slow_body(port: int, seconds: float, number: int) -> str:
    """A body of 63 MB, a byte in a while."""
    return await _dripped(port, request("POST", EMBED, b"", {"content-length": str(MAX_BODY)}), b"a", 0.3, seconds)


async def slow_chunks(port: int, seconds: float, number: int) -> str:
    """Chunks of one byte."""
    head = request("POST", EMBED, b"", {"content-length": None, "transfer-encoding": "chunked"})
    return await _dripped(port, head, b"1\r\na\r\n" * 20, 0.1, seconds)


async def large_slow_body(port: int, seconds: float, number: int) -> str:
    """A body of 63 MB, most of it at the start and the rest never."""
    head = request("POST", OPENAI, b"", {"content-length": str(MAX_BODY), "content-type": JSON})
    return await _dripped(port, head + b'{"input": "', b"A" * (MAX_BODY // 40), seconds / 50, seconds)


async def not_reading(port: int, seconds: float, number: int) -> str:
    """Asks for large responses, one after the other, and reads none."""
    patches = post_json({"input": [text_of(small_png())] * 8, "output": "patches"}, OPENAI)
    try:
        reader, writer = await asyncio.open_connection(HOST, port, limit=1)
    except OSError:
        return "closed"
    transport = writer.transport
    assert isinstance(transport, asyncio.Transport)
    transport.pause_reading()
    writer.write((request("GET", ASSET) if number % 2 else patches) * 10)
    await asyncio.sleep(seconds)
    transport.resume_reading()
    try:
        async with asyncio.timeout(min(10.0, 2 * seconds)):
            while await reader.read(1_000_000):
                pass  # what was on its way
        return "closed"
    except TimeoutError:
        return "open"
    except OSError:
        return "closed"
    finally:
        transport.abort()


async def flooding(port: int, seconds: float, number: int) -> str:
    """Requests without waiting for replies, and without reading."""
    try:
        _, writer = await asyncio.open_connection(HOST, port, limit=1)
    except OSError:
        return "closed"
    until = time.monotonic() + seconds
    try:
        while time.monotonic() < until:
            writer.write(request("GET", "/openapi.json") * 100)
            async with asyncio.timeout(1):
                await writer.drain()
            await asyncio.sleep(0.05)
    except TimeoutError:
        await asyncio.sleep(max(0.0, until - time.monotonic()))
    except OSError:
        return "closed"
    finally:
        writer.transport.abort()
    return "open"


async def gone_in_body(port: int, seconds: float, number: int) -> str:
    """Leaves in the middle of a body, again and again."""
    return await _gone(port, post(small_png())[:-100], seconds, 0.0)


async def gone_after_body(port: int, seconds: float, number: int) -> str:
    """Leaves before the reply, again and again."""
    images = [text_of(small_png())] * 32
    return await _gone(port, post_json({"input": images}, OPENAI), seconds, 0.001 * (number % 20))


async def gone_in_reply(port: int, seconds: float, number: int) -> str:
    """Leaves in the middle of a large response, again and again."""
    return await _gone(port, request("GET", ASSET), seconds, 0.005)


async def gone_when_connected(port: int, seconds: float, number: int) -> str:
    """Connects and leaves, again and again."""
    return await _gone(port, b"", seconds, 0.0)


async def _gone(port: int, data: bytes, seconds: float, pause: float) -> str:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            _, writer = await _opened(port)
            writer.write(data)
            await asyncio.sleep(pause)
            writer.transport.abort()
        except OSError:
            pass
        await asyncio.sleep(0.02)
    return "gone"


KINDS: dict[str, Rude] = {
    "silent": Rude(silent, 300, 15),
    "idle": Rude(idle, 300, 10),
    "a head, a byte in a while": Rude(slow_head, 200, 15),
    "a body, a byte in a while": Rude(slow_body, 200, 35),
    "chunks of one byte": Rude(slow_chunks, 50, 35),
    "60 bodies of 63 MB, slowly": Rude(large_slow_body, 60, 35),
    "200 that do not read": Rude(not_reading, 200, 40),
    "requests without reading": Rude(flooding, 50, 5),
    "gone in the body": Rude(gone_in_body, 50, 5),
    "gone before the reply": Rude(gone_after_body, 50, 5),
    "gone in the reply": Rude(gone_in_reply, 20, 5),
    "connections that are closed": Rude(gone_when_connected, 50, 5),
}

ALLOWED: dict[str, frozenset[str]] = {
    "silent": frozenset({"408", "closed"}),
    "idle": frozenset({"closed", "open"}),
    "a head, a byte in a while": frozenset({"408", "closed"}),
    "a body, a byte in a while": frozenset({"408", "closed", "429"}),
    "chunks of one byte": frozenset({"408", "closed", "429", "400"}),
    "60 bodies of 63 MB, slowly": frozenset({"400", "408", "closed", "429", "503"}),
    "200 that do not read": frozenset({"closed"}),
}
"""How they may end. Others may end in any way."""
