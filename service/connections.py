"""HTTP connections that end: uvicorn's, with limits on the time, the bytes and the number of what clients may hold.

A connection waits (for the head of a request, for its body, for the next request) or is busy with a request. What it waits for has to
come within seconds, and what is written has to be read. Where there are too many, the one that has waited longest makes room.
"""

import asyncio
import logging
import urllib.parse
from typing import Any, cast

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from service.connection_limits import Connections, State, Timer
from service.errors import NotReady, RequestTimeout
from service.exchange import MAX_HEAD_BYTES, MAX_HEADERS, Exchange, Flow, Rejected, head_too_large, malformed

log = logging.getLogger(__name__)

MAX_PIPELINED = 16
"""Requests without a body that may wait behind the one that is answered. One with a body may not."""
MAX_ECHOED = 200
"""Characters of what could not be read that are in the answer."""
WRITE_BUFFER = 65_536
"""Bytes that wait for the client to read them before the response waits too."""
FRAMING = frozenset({b"content-length", b"transfer-encoding", b"expect"})


class Connection(HttpToolsProtocol):
    """One client. See the module."""

    cycle: Exchange
    flow: Flow

    def __init__(self, shared: Connections, **options: Any) -> None:
        super().__init__(**options)
        self._shared = shared
        self._state = State.HEAD
        self._running: Exchange | None = None
        self._partial = False  # part of a head has come
        self._untimed = False  # a head began in what is being read
        self._head_read = False
        self._deaf = False  # what comes is not read any more
        self._head_bytes = self._body_bytes = self._other_bytes = 0
        self._framing: dict[bytes, bytes] = {}
        self._timer = Timer(self.loop, self._time_over)

    # called by the transport

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.flow = Flow(transport)
        transport.set_write_buffer_limits(WRITE_BUFFER)
        full = len(self.connections) > self._shared.most and not self._make_room()
        self._wait(State.HEAD)
        if full:
            self._reject(Rejected(503, NotReady(f"all {self._shared.most:,} connections are in use; try again later")))

    def connection_lost(self, exc: Exception | None) -> None:
        self._shared.waiting.pop(self, None)
        self._timer.cancel()
        for exchange in [self._running, *(exchange for exchange, _ in self.pipeline)]:
            if exchange is not None and not exchange.response_complete:
                exchange.disconnected = True
                exchange.message_event.set()
        self.pipeline.clear()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        self._other_bytes += len(data)
        try:
            self.parser.feed_data(data)
            self._check_bytes()
        except httptools.HttpParserUpgrade:  # to what is not spoken here: the request is answered as it is
            self._deaf, self.cycle.keep_alive = True, False
        except httptools.HttpParserError as error:
            cause = error.__context__
            self._reject(cause if isinstance(cause, Rejected) else malformed(str(cause or error)[:MAX_ECHOED]))
        except Rejected as rejected:
            self._reject(rejected)
        if self._untimed and not self._deaf:
            self._untimed = False
            self._restart_timer()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._restart_timer()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._restart_timer()

    def shutdown(self) -> None:
        """The server stops."""
        if self._state is State.CLOSING:
            self.transport.abort()
        else:
            super().shutdown()

    # called by the parser

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._partial, self._head_read, self._head_bytes, self._body_bytes = True, False, 0, 0
        if self._framing:
            self._framing = {}
        if self._state is State.IDLE:
            self._state, self._untimed = State.HEAD, True
            self._shared.waiting.pop(self, None)
            self._shared.waiting[self] = None  # at the end

    def on_header(self, name: bytes, value: bytes) -> None:
        self._head_bytes += len(name) + len(value)
        if self._head_bytes > MAX_HEAD_BYTES or len(self.headers) >= MAX_HEADERS:
            raise head_too_large()
        if self._head_read:
            return  # a trailer
        name = name.lower()
        if name in FRAMING:
            self._framing[name] = value if name not in self._framing else self._framing[name] + b", " + value
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        self._partial, self._untimed, self._head_read = False, False, True
        version = self.parser.get_http_version()
        self._check_framing(version)
        if self._head_bytes + len(self.url) > MAX_HEAD_BYTES:
            raise head_too_large()
        url = httptools.parse_url(self.url)
        if not url.path:
            raise malformed("its target has no path")
        path = url.path.decode("ascii")
        self.scope["method"] = self.parser.get_method().decode("ascii")
        self.scope["http_version"] = version
        self.scope["path"] = urllib.parse.unquote(path) if "%" in path else path
        self.scope["raw_path"] = url.path
        self.scope["query_string"] = url.query or b""
        self._begin(self._exchange(keep_alive=version != "1.0" and self.parser.should_keep_alive()))

    def on_body(self, body: bytes) -> None:
        self._other_bytes -= len(body)
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._other_bytes = 0
        super().on_message_complete()
        if self._state is State.SKIPPING:
            self._become_idle()
        elif self._state is State.BUSY and self.cycle is self._running:
            self._shared.waiting.pop(self, None)

    # called by the response

    def on_response_complete(self) -> None:
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        exchange = self._running
        assert exchange is not None
        if exchange.closes:
            self._close(linger=exchange.more_body or self._deaf)
        elif self.pipeline:
            following, app = self.pipeline.pop()
            self._running = cast(Exchange, following)
            self.flow.held = bool(self.pipeline)
            self.flow.resume_reading()
            self._start_asgi_task(following, app)
        elif exchange.more_body:
            self._wait(State.SKIPPING)
            self.flow.resume_reading()
        else:
            self._become_idle()

    # what these do

    def _exchange(self, keep_alive: bool) -> Exchange:
        length = self._framing.get(b"content-length", b"")
        return Exchange(
            self._shared,
            short=length[:20].isdigit() and int(length[:20]) <= self._shared.settings.max_body_bytes,
            scope=self.scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=self.expect_100_continue,
            keep_alive=keep_alive,
            on_response=self.on_response_complete,
        )

    def _begin(self, exchange: Exchange) -> None:
        """Answer a request now, or after those before it."""
        if self._running is None or self._running.response_complete:
            self.cycle = self._running = exchange
            self._state = State.BUSY
            self._restart_timer()
            self._start_asgi_task(exchange, self.app)
            return
        body = self._framing.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in self._framing
        if body or len(self.pipeline) >= MAX_PIPELINED:
            raise malformed("more was sent before the last answer than is kept")
        self.flow.pause_reading()
        self.flow.held = True
        self.cycle = exchange
        self.pipeline.appendleft((exchange, self.app))

    def _check_framing(self, version: str) -> None:
        """What two readers could see two ends of is rejected: what one takes for a body may be a request to the other."""
        if not self._framing:
            return
        self.expect_100_continue = self._framing.get(b"expect", b"").lower() == b"100-continue"
        encoding = self._framing.get(b"transfer-encoding")
        if encoding is None:
            return
        if b"content-length" in self._framing:
            raise malformed("it has both Transfer-Encoding and Content-Length")
        if version == "1.0" or encoding.strip().lower() != b"chunked":
            raise malformed("its Transfer-Encoding must be chunked")

    def _check_bytes(self) -> None:
        """The parser keeps a header until it has come whole; and the chunks of a body may have next to nothing in them."""
        if self._other_bytes <= MAX_HEAD_BYTES:
            return
        if not self._head_read:
            raise head_too_large()
        if self._other_bytes > MAX_HEAD_BYTES + self._head_bytes + self._body_bytes:
            raise malformed("the chunks of its body are larger than what is in them")

    def _become_idle(self) -> None:
        self.flow.held = False
        self._wait(State.HEAD if self._partial else State.IDLE)
        self.flow.resume_reading()

    def _wait(self, state: State) -> None:
        self._state = state
        self._shared.waiting[self] = None
        self._restart_timer()

    def _reject(self, rejected: Rejected) -> None:
        """Answer what does not reach the app, once what was asked before it is answered, and close."""
        self._deaf = True
        self._shared.closed["rejected"] += 1
        log.warning("%s - - %d rejected: %s", rejected.request_id, rejected.status, rejected.error.message)
        running = self._running
        if running is not None and not running.response_complete:
            if running is not self.cycle or running.response_started or not running.more_body:
                self.cycle.keep_alive = False
                return
            running.disconnected = True  # its body cannot be read to its end
            running.message_event.set()
        if not self.transport.is_closing():
            self.transport.write(rejected.response())
            self._close(linger=True)

    def _close(self, linger: bool) -> None:
        self._deaf = True
        self._wait(State.CLOSING)
        if linger and self.transport.can_write_eof():
            self.flow.held = False
            self.flow.resume_reading()
            self.transport.write_eof()
        else:
            self.transport.close()

    def _make_room(self) -> bool:
        """Whether a connection that waited could be closed for this one."""
        oldest = next(iter(self._shared.waiting), None)
        if oldest is None:
            return False
        self._shared.closed["room"] += 1
        del self._shared.waiting[oldest]
        self.connections.discard(oldest)
        oldest.transport.abort()
        return True

    def _restart_timer(self) -> None:
        self._timer.start(self._shared.seconds(self._state, self.flow.write_paused))

    def _time_over(self) -> None:
        self._shared.closed["write" if self.flow.write_paused else self._state.value] += 1
        if self._state is State.HEAD and self._partial and not self.flow.write_paused:
            seconds = self._shared.settings.header_seconds
            self._reject(Rejected(408, RequestTimeout(f"the head of the request did not arrive within {seconds:g} s")))
        else:
            self.transport.abort()
