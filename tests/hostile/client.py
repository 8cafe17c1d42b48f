"""An HTTP/1.1 client that sends any bytes and reads whatever comes back."""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterable
from typing import Any, NamedTuple

HOST = "127.0.0.1"
CLOSED = 0
"""The status of a connection that was closed without a reply."""
NO_REPLY = -1
"""The status of a request that was not answered in time."""
WAIT_SECONDS = 60.0

EMBED, OPENAI, PREDICT = "/v1/images/embeddings", "/v1/embeddings", "/v1/predict"
JSON = "application/json"


class Reply(NamedTuple):
    """What came back, and after how many seconds."""

    status: int
    headers: dict[str, str]
    body: bytes
    seconds: float

    def json(self) -> Any:
        """The body."""
        return json.loads(self.body)


def request(
    method: str = "POST",
    path: str = EMBED,
    body: bytes = b"",
    headers: dict[str, str] | None = None,
    *,
    version: str = "1.1",
) -> bytes:
    """A whole request. Given headers replace those that it would have; one that is None is left out."""
    given = {"host": "localhost", "content-length": str(len(body)), **(headers or {})}
    lines = "".join(f"{name}: {value}\r\n" for name, value in given.items() if value is not None)
    return f"{method} {path} HTTP/{version}\r\n{lines}\r\n".encode("latin-1") + body


def post(body: bytes, path: str = EMBED, content_type: str | None = None, **headers: str) -> bytes:
    """A POST of a body. Underscores in names of headers are hyphens."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return request("POST", path, body, given if content_type is None else {"content-type": content_type, **given})


def post_json(content: object, path: str = OPENAI, **headers: str) -> bytes:
    """A POST of JSON."""
    return post(json.dumps(content).encode(), path, JSON, **headers)


class Kept:
    """A connection that is kept, with one request at a time."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter | None = None

    @property
    def writer(self) -> asyncio.StreamWriter:
        """Of the open connection."""
        assert self._writer
        return self._writer

    async def open(self) -> None:
        """Connect, where it is not connected."""
        if self._writer is None or self._writer.is_closing():
            self.reader, self._writer = await asyncio.open_connection(HOST, self.port, limit=2**26)

    def close(self) -> None:
        """Without waiting."""
        if self._writer is not None:
            self._writer.transport.abort()
            self._writer = None

    async def ask(self, data: bytes, seconds: float = WAIT_SECONDS, *, half_close: bool = False) -> Reply:
        """Send a request and read the reply; a broken connection is `CLOSED`.

        Sending ends when the reply is there. The connection is closed then, if not all was sent.
        """
        start = time.perf_counter()
        sending: asyncio.Task[None] | None = None
        head = data.startswith(b"HEAD ")
        try:
            async with asyncio.timeout(seconds):
                await self.open()
                sending = asyncio.create_task(self._send(data, half_close))
                status, headers, body = await read_reply(self.reader, head)
        except TimeoutError:
            status, headers, body = NO_REPLY, {}, b""
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
            status, headers, body = CLOSED, {}, b""
        unsent = sending is not None and not sending.done()
        if unsent:
            sending.cancel()
        if sending is not None:
            await asyncio.gather(sending, return_exceptions=True)
        if status <= 0 or unsent or headers.get("connection", "").lower() == "close":
            self.close()
        return Reply(status, headers, body, time.perf_counter() - start)

    async def _send(self, data: bytes, half_close: bool) -> None:
        for at in range(0, len(data), 1_000_000):
            self.writer.write(data[at : at + 1_000_000])
            await self.writer.drain()
        if half_close:
            self.writer.write_eof()


async def ask(port: int, data: bytes, seconds: float = WAIT_SECONDS, *, half_close: bool = False) -> Reply:
    """One request over a connection of its own."""
    kept = Kept(port)
    try:
        return await kept.ask(data, seconds, half_close=half_close)
    finally:
        kept.close()


async def read_reply(reader: asyncio.StreamReader, head: bool = False) -> tuple[int, dict[str, str], bytes]:
    """A response that states its length, is in chunks, or ends with the connection. 1xx are passed over.

    Raises:
        OSError, IncompleteReadError: the connection ended.
        ValueError: this is not HTTP.
    """
    status = 100
    while status < 200:
        text = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = text.rstrip("\r\n").split("\r\n")
        match = re.fullmatch(r"HTTP/1\.[01] (\d{3})(?: .*)?", first)
        if not match:
            raise ValueError(f"this is not HTTP: {first[:80]!r}")
        status = int(match[1])
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if head or status in (204, 304):
        return status, headers, b""
    if "content-length" in headers:
        return status, headers, await reader.readexactly(int(headers["content-length"]))
    if headers.get("transfer-encoding", "").lower() == "chunked":
        return status, headers, b"".join([piece async for piece in _chunks(reader)])
    return status, headers, await reader.read()


async def _chunks(reader: asyncio.StreamReader) -> AsyncIterable[bytes]:
    size = 1
    while size:
        size = int((await reader.readuntil(b"\r\n")).split(b";")[0], 16)
        yield (await reader.readexactly(size + 2))[:-2]
