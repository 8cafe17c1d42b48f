"""Responses: JSON, what is sent in pieces, and the timing header."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import orjson
from fastapi import Response
from starlette.types import Receive, Scope, Send

from service.operations.base import Timings

SERVER_TIMING = ", ".join(f"{name};dur=%.2f" for name in Timings._fields)

PIECE_BYTES = 262_144
"""Bytes that are handed to the connection at a time: the next ones wait until the client has read most of these."""


def json_response(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """JSON with numpy arrays written as they are, and NaN as null."""
    return Response(dumps(content), status, headers, media_type="application/json")


def dumps(content: Any) -> bytes:
    """JSON as in `json_response`."""
    return orjson.dumps(content, _contiguous, orjson.OPT_SERIALIZE_NUMPY)


def _contiguous(value: object) -> np.ndarray:
    """A view as an array of its own; orjson asks for that and knows nothing else that it could be given."""
    if not isinstance(value, np.ndarray):
        raise TypeError(f"{type(value).__name__} cannot be JSON")
    return np.ascontiguousarray(value)


def json_pieces(content: dict[str, Any], name: str, items: Iterable[Any]) -> Iterator[bytes]:
    """The JSON of `content` with a list of `items` as its last field, `name`, in pieces: each item is made when it is asked for."""
    yield dumps(content)[:-1] + b',"%s":[' % name.encode()
    for i, item in enumerate(items):
        if i:
            yield b","
        yield dumps(item)
    yield b"]}"


class PiecesResponse(Response):
    """A body in pieces, which are dropped as the client takes them."""

    def __init__(self, pieces: list[bytes], headers: dict[str, str], media_type: str) -> None:
        self._pieces = pieces
        length = str(sum(map(len, pieces)))
        super().__init__(headers={**headers, "content-length": length}, media_type=media_type)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 -- ASGI's signature
        """Sends them."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        self._pieces.reverse()
        while self._pieces:
            piece = self._pieces.pop()
            for start in range(0, len(piece), PIECE_BYTES):
                body = piece[start : start + PIECE_BYTES]
                await send({"type": "http.response.body", "body": body, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def pieces_response(pieces: list[bytes], headers: dict[str, str], media_type: str) -> Response:
    """A response of pieces; a small one is sent as a whole."""
    if sum(map(len, pieces)) <= PIECE_BYTES:
        return Response(b"".join(pieces), headers=headers, media_type=media_type)
    return PiecesResponse(pieces, headers, media_type)


def server_timing(timings: list[Timings]) -> dict[str, str]:
    """The longest of each stage, as a Server-Timing header in milliseconds."""
    longest = timings[0] if len(timings) == 1 else [max(values) for values in zip(*timings, strict=True)]
    return {"server-timing": SERVER_TIMING % tuple(1000 * value for value in longest)}
