"""One request and its response on a connection, and the answers to what does not reach the app."""

import asyncio
import logging
from typing import Any

import orjson
from uvicorn._types import ASGI3Application, ASGISendEvent
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from service.connection_limits import Connections
from service.errors import BodyTooLarge, InvalidRequest, RequestTimeout, ServiceError
from service.middleware import new_request_id

log = logging.getLogger(__name__)

MAX_HEAD_BYTES = 32_768
"""Of a request's line and headers."""
MAX_HEADERS = 100
PIECE = 131_072
"""Bytes of a response that are written before it is seen whether the client reads them."""


class Rejected(Exception):
    """A request that does not reach the app, or a body that cannot be read to its end."""

    def __init__(self, status: int, error: ServiceError) -> None:
        super().__init__(error.message)
        self.request_id = new_request_id()
        self.status, self.error = status, error

    def response(self) -> bytes:
        """The error in the one shape, after which the connection is closed."""
        body = orjson.dumps(self.error.body())
        headers = {"content-type": "application/json", "content-length": str(len(body)), "connection": "close"}
        headers |= self.error.headers()
        headers |= {"x-request-id": self.request_id, "x-content-type-options": "nosniff"}
        lines = [f"{name}: {value}\r\n".encode() for name, value in headers.items()]
        return b"".join([STATUS_LINE[self.status], *lines, b"\r\n", body])


def malformed(what: str) -> Rejected:
    """What is not HTTP/1.1, or could be read in two ways."""
    return Rejected(400, InvalidRequest(f"this request is not valid HTTP/1.1: {what}"))


def head_too_large() -> Rejected:
    """A line and headers that are more than they may be."""
    message = f"the head of a request may have {MAX_HEAD_BYTES:,} bytes and {MAX_HEADERS} headers; this one has more"
    return Rejected(431, InvalidRequest(message))


class Flow(FlowControl):
    """Reading may be held: whoever wants it resumed then waits as well."""

    held = False

    def resume_reading(self) -> None:
        if not self.held and not self._transport.is_closing():
            super().resume_reading()


class Exchange(RequestResponseCycle):
    """A request and its response. `short`: the body says its length, and it is one that may be read."""

    def __init__(self, shared: Connections, short: bool, **options: Any) -> None:
        super().__init__(**options)
        self._shared, self._short = shared, short
        self.closes = False

    async def run_asgi(self, app: ASGI3Application) -> None:
        """The app answers whatever happens in it; what is left for here is a response that cannot be finished."""
        try:
            await app(self.scope, self.receive, self.send)
        except asyncio.CancelledError:
            log.warning("a response was cut off: the server is stopping")
        except Exception:
            log.exception("a response could not be finished")
        finally:
            if not self.response_complete and not self.disconnected:
                self.transport.abort()
            self.on_response = lambda: None

    async def send(self, message: ASGISendEvent) -> None:
        """As uvicorn does, but a large body in pieces; and the connection closes itself where it is not kept."""
        if message["type"] == "http.response.start":
            if self._shared.draining or (self.more_body and not self._skips_body(message["status"])):
                self.keep_alive = False
            await super().send(message)
        elif message["type"] == "http.response.body":
            if not message.get("more_body", False) and not self.keep_alive:
                self.keep_alive, self.closes = True, True
            if len(message.get("body", b"")) <= PIECE:
                await super().send(message)
            else:
                await self._send_in_pieces(memoryview(message["body"]), message.get("more_body", False))

    async def _send_in_pieces(self, body: memoryview, more: bool) -> None:
        for start in range(0, len(body), PIECE):
            piece: Any = body[start : start + PIECE]
            more_body = more or start + PIECE < len(body)
            await super().send({"type": "http.response.body", "body": piece, "more_body": more_body})

    def _skips_body(self, status: int) -> bool:
        """Whether the connection is kept, and what comes of the body is thrown away."""
        too_much = status in (RequestTimeout.status, BodyTooLarge.status)
        return self._short and not self.waiting_for_100_continue and not too_much
