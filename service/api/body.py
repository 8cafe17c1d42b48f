"""A request's body: read within limits of size and time, each byte counted against what the server may hold."""

import asyncio
from dataclasses import dataclass

from fastapi import Request

from service.admission import Claim
from service.api.disconnect import ClientDisconnected
from service.errors import BodyTooLarge, InvalidRequest, RequestTimeout
from service.settings import Settings

MAX_SHARE = 3 / 8
"""Of the bytes in flight that one request may hold with its response. With an idle server it gets them: see `Admission.take`."""


def take_bytes(request: Request, size: int) -> None:
    """Count bytes that the request holds from now on. They are given back when its response was sent.

    Raises:
        Overloaded: the server holds as many as it may.
    """
    claim: Claim | None = request.scope.get("state", {}).get("claim")
    if claim is not None:
        claim.take(size)


def take_response_bytes(request: Request, size: int, settings: Settings, body_size: int) -> None:
    """Count bytes of a response to a request whose body had so many.

    Raises:
        InvalidRequest: more than one request should ever hold.
        Overloaded: see `take_bytes`.
    """
    limit = int(MAX_SHARE * settings.max_bytes_in_flight) - body_size
    if size > limit:
        raise InvalidRequest(
            f"the response would have about {size:,} bytes; beside this request's body it may have {max(0, limit):,}: "
            "ask for less at once, or for encoding_format=base64"
        )
    take_bytes(request, size)


@dataclass(slots=True)
class Body:
    """What was received, in the pieces in which it came, and its bytes in all."""

    pieces: list[bytes]
    size: int

    def join(self) -> bytes:
        """All of it. The pieces are dropped, so it can be asked for once."""
        pieces, self.pieces = self.pieces, []
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def declared_size(request: Request) -> int:
    """Bytes of the body as its header says; 0 where it does not."""
    declared = request.headers.get("content-length", "")
    return int(declared[:20]) if declared.isascii() and declared.isdigit() else 0


async def read_body(request: Request, settings: Settings) -> Body:
    """The whole body. Refused by its declared length, or cut off as soon as it is longer than it may be.

    Raises:
        BodyTooLarge, RequestTimeout, ClientDisconnected
        Overloaded: there is no room for it beside the other requests.
    """
    limit = settings.max_body_bytes
    if (declared := declared_size(request)) > limit:
        raise BodyTooLarge(f"a body may have {limit:,} bytes, this one says {declared:,}")
    body = Body([], 0)
    try:
        async with asyncio.timeout(settings.body_seconds):
            more = True
            while more:
                message = await request.receive()
                if message["type"] == "http.disconnect":
                    raise ClientDisconnected
                piece = message.get("body", b"")
                body.size += len(piece)
                if body.size > limit:
                    raise BodyTooLarge(f"a body may have {limit:,} bytes, this one has more")
                take_bytes(request, len(piece))
                body.pieces.append(piece)
                more = message.get("more_body", False)
    except TimeoutError as error:
        raise RequestTimeout(
            f"the body did not arrive within {settings.body_seconds:.0f} s; {body.size:,} bytes did"
        ) from error
    return body
