"""The HTTP app: engines in, routes on, one handler for every error."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request, Response
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from models.bundle import Bundle, find_bundle, read_bundle, zoo
from models.errors import BundleError, ConfigError, RuntimeFailure
from service.api import embeddings, health, models, pages, predict
from service.api.answers import json_answer
from service.api.presence import ClientGone
from service.api.state import State
from service.engine import Device, Engine
from service.errors import Internal, InvalidRequest, MethodNotAllowed, NotFound, NotReady, ServiceError
from service.runtimes import open_runtime
from service.settings import Settings
from service.telemetry import GONE, RequestLog, Telemetry

log = logging.getLogger(__name__)

ROUTERS = (embeddings.router, predict.router, models.router, health.router, pages.router)


def create_app(settings: Settings) -> FastAPI:
    """An app with its bundles opened. They are checked in the background once it starts; until then it is not ready.

    Raises:
        BundleError, ConfigError: a bundle or a runtime that cannot be used.
    """
    telemetry = Telemetry()
    engines = open_engines(settings, telemetry)
    telemetry.watch(engines)
    state = State(settings, engines, telemetry)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        checking = asyncio.create_task(check(state))
        yield
        state.drain()
        await checking
        await asyncio.gather(*(asyncio.to_thread(engine.close) for engine in engines.values()))

    app = FastAPI(
        title="I-JEPA Features",
        summary="Image and patch embeddings, and predictions of hidden regions.",
        version="1",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        generate_unique_id_function=lambda route: route.name,
    )
    app.state.service = state
    for router in ROUTERS:
        app.include_router(router)
    app.mount("/docs/assets", StaticFiles(directory=pages.SWAGGER), name="docs-assets")
    telemetry.known_routes(list(app.openapi()["paths"]))
    app.add_middleware(Catch)
    app.add_middleware(RequestLog, telemetry=telemetry)
    app.add_middleware(HeadAsGet)
    app.add_exception_handler(ServiceError, answer_error)
    app.add_exception_handler(ClientGone, answer_nobody)
    app.add_exception_handler(HTTPException, answer_error)
    return app


def open_engines(settings: Settings, telemetry: Telemetry) -> dict[str, Engine]:
    """An engine for each bundle of the settings, or for the first of the zoo, by the bundles' ids."""
    if not settings.bundle and not zoo():
        raise ConfigError("no model comes with this installation; give one with --bundle DIR")
    engines: dict[str, Engine] = {}
    device = Device()
    for name in settings.bundle or zoo()[:1]:
        bundle: Bundle = read_bundle(find_bundle(name))
        if bundle.manifest.id in engines:
            raise ConfigError(f"two bundles have the id {bundle.manifest.id!r}; export one of them under another")
        runtime = open_runtime(settings.runtime, bundle, settings.threads, settings.precision)
        engines[bundle.manifest.id] = Engine(bundle, runtime, settings, device, telemetry.batch)
    return engines


async def check(state: State) -> None:
    """Compute every model's canonical picture, then its speed; the app is ready once all came out right."""
    try:
        for engine in state.engines.values():
            await asyncio.to_thread(engine.check)
            await asyncio.to_thread(engine.measure)
    except (BundleError, RuntimeFailure) as error:
        log.error("not ready: %s", error)
        state.problem = NotReady(str(error))
    else:
        state.open()


class HeadAsGet:
    """ASGI middleware: what can be got can be asked for by HEAD, as monitors do; the HTTP server leaves out the body."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the class."""
        await self.app({**scope, "method": "GET"} if scope.get("method") == "HEAD" else scope, receive, send)


class Catch:
    """ASGI middleware: what no handler caught is our own fault, and is answered like any other error."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the class."""
        started = False

        async def noted(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self.app(scope, receive, noted)
        except Exception as error:
            if started or scope["type"] != "http":
                raise
            answer = await answer_error(Request(scope, receive), error)
            await answer(scope, receive, send)


async def answer_error(request: Request, error: Exception) -> Response:
    """Any error in the one shape. What is our own fault is logged whole and told in one sentence."""
    if isinstance(error, HTTPException):
        error = _from_http(error, request)
    if not isinstance(error, ServiceError):
        log.error("request %s failed", request.state.request_id, exc_info=error)
        error = Internal("this is a fault of the server; its log has the details under this request's id")
    request.app.state.service.telemetry.errors.labels(error.code).inc()
    return json_answer(error.body(), error.status, error.headers())


async def answer_nobody(_request: Request, _error: Exception) -> Response:
    """For the log and the metrics alone: nginx' status for a client that left."""
    return Response(status_code=GONE)


def _from_http(error: HTTPException, request: Request) -> ServiceError:
    """Starlette's own refusals: an unknown path, a wrong method, a form that cannot be read."""
    if error.status_code == NotFound.status:
        return NotFound(f"there is nothing at {request.url.path}; /docs lists the routes")
    if error.status_code == MethodNotAllowed.status:
        allowed = (error.headers or {}).get("Allow", "another method")
        return MethodNotAllowed(f"{request.url.path} takes {allowed}, not {request.method}", allowed)
    if error.status_code < Internal.status:
        return InvalidRequest(str(error.detail))
    return Internal(str(error.detail))
