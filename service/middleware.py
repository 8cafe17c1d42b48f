"""What is around every request: the outermost catch of errors, request ids, the log line, HEAD, the short way to a route."""

import asyncio
import logging
import random
import re
import time
from collections.abc import Awaitable, Callable, Iterable

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.admission import Admission
from service.errors import Draining
from service.security import NOSNIFF
from service.telemetry import CLIENT_LEFT, OTHER, Telemetry

log = logging.getLogger(__name__)

REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}", re.ASCII)

_ids = random.Random()  # noqa: S311 -- ids tell requests apart and protect nothing

QUIET = ("/health", "/health/live", "/health/ready", "/metrics")
"""Routes that machines ask every few seconds: logged at DEBUG."""

MAX_LOGGED_PATH = 200


class HeadAsGet:
    """What GET answers, HEAD answers too; the HTTP server leaves out the body."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope.get("method") != "HEAD":
            await self.app(scope, receive, send)
            return
        as_get = {**scope, "method": "GET"}
        try:
            await self.app(as_get, receive, send)
        finally:
            scope["route"] = as_get.get("route")  # for those around it


class DirectRoutes:
    """Calls the endpoints of some routes itself. Each takes the request alone and returns its response.

    FastAPI's routing, dependencies and exit stacks take longer than the rest of the HTTP of a small image. The routes are
    FastAPI's all the same, for the API's description and for other methods and spellings of a path.
    """

    def __init__(self, app: ASGIApp, routes: Iterable[APIRoute]) -> None:
        self.app = app
        self._routes = {(method, route.path): route for route in routes for method in route.methods or ()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        route = self._routes.get((scope.get("method", ""), scope.get("path", "")))
        if route is None or scope["root_path"]:
            await self.app(scope, receive, send)
            return
        scope["route"] = route
        response = await route.endpoint(Request(scope, receive, send))
        await response(scope, receive, send)


class Claims:
    """Gives each request the claim on what it holds (`service.admission`), as `request.state.claim`.

    It is released when the response was written, not before: what a client does not read is held.
    """

    def __init__(self, app: ASGIApp, admission: Admission) -> None:
        self.app, self._admission = app, admission

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        claim = self._admission.claim(scope.get("client"))
        scope["state"]["claim"] = claim
        try:
            await self.app(scope, receive, send)
        finally:
            claim.release()


class CatchErrors:
    """An exception that no handler caught is answered, unless the response has begun.

    So is a request that is cut off because the server is `draining` and its time is over.
    """

    def __init__(
        self,
        app: ASGIApp,
        answer: Callable[[Request, Exception], Awaitable[Response]],
        draining: Callable[[], bool] = lambda: False,
    ) -> None:
        self.app, self.answer, self._draining = app, answer, draining

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def noted(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self.app(scope, receive, noted)
        except (Exception, asyncio.CancelledError) as error:
            if started or scope["type"] != "http":
                raise
            response = await self.answer(Request(scope, receive), self._answerable(error))
            await response(scope, receive, send)

    def _answerable(self, error: BaseException) -> Exception:
        if isinstance(error, Exception):
            return error
        task = asyncio.current_task()
        if not self._draining() or task is None:
            raise error
        task.uncancel()
        return Draining("the server is stopping, and the request was not finished in time")


class RequestLog:
    """Every response gets `x-request-id` (the client's own if it is printable and short), a metric and a log line.

    The line has the request id, method, path, status, error code (or `-`) and milliseconds. Responses also say that what they are
    is what their content type says.
    """

    def __init__(self, app: ASGIApp, telemetry: Telemetry) -> None:
        self.app, self.telemetry = app, telemetry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = dict(scope["headers"]).get(b"x-request-id", b"").decode("latin-1")
        request_id = given if REQUEST_ID.fullmatch(given) else new_request_id()
        scope.setdefault("state", {})["request_id"] = request_id
        start, status = time.monotonic(), CLIENT_LEFT

        async def tagged(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", request_id.encode()), NOSNIFF]
            await send(message)

        try:
            await self.app(scope, receive, tagged)
        finally:
            seconds = time.monotonic() - start
            route = getattr(scope.get("route"), "path", OTHER)
            self.telemetry.request(route, status, seconds)
            level = logging.DEBUG if route in QUIET else logging.INFO
            path = scope.get("raw_path", b"")[:MAX_LOGGED_PATH].decode("ascii", "backslashreplace")
            code = scope["state"].get("error_code", "-")
            log.log(level, "%s %s %s %d %s %.1f ms", request_id, scope["method"], path, status, code, 1000 * seconds)


def new_request_id() -> str:
    """An id for a request that came without one."""
    return f"{_ids.getrandbits(128):032x}"
