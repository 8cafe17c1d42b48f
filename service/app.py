"""The HTTP app: models in, routes on, one handler for every error. No logic."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request, Response
from fastapi.routing import APIRoute
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.routing import Route

from models.errors import IJEPAError
from models.images.decode import configure_pillow
from models.progress import Progress, no_progress
from service.api import health, pages
from service.api.dependencies import Service
from service.api.disconnect import ClientDisconnected
from service.api.responses import json_response
from service.api.v1 import embeddings, models, predict
from service.decoding.memory import trim_now_and_then
from service.errors import Internal, InvalidRequest, MethodNotAllowed, NotFound, ServiceError, translate
from service.middleware import CatchErrors, Claims, DirectRoutes, HeadAsGet, RequestLog
from service.registry import open_registry
from service.security import AllowedHosts, CheckHost
from service.settings import Settings
from service.telemetry import CLIENT_LEFT, Telemetry

log = logging.getLogger(__name__)

ROUTERS = (embeddings.router, predict.router, models.router, health.router, pages.router)
DIRECT = (embeddings.router, predict.router)
"""Routers whose endpoints take the request alone; see `DirectRoutes`."""

V2 = "/v2/"
"""Below it errors have the shape of the Open Inference Protocol."""

MAX_ECHOED = 200
"""Characters of what a client sent that are in an answer."""


def create_app(settings: Settings, progress: Progress = no_progress) -> FastAPI:
    """An app with its bundles opened. They are checked in the background once it starts; until then it is not ready.

    Raises:
        BundleError, ConfigError: a bundle or a runtime that cannot be used.
    """
    configure_pillow()
    telemetry = Telemetry()
    registry = open_registry(settings, telemetry, progress)
    telemetry.watch(registry.held, lambda: registry.ready)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        checking = asyncio.create_task(asyncio.to_thread(registry.check))
        trimming = asyncio.create_task(trim_now_and_then(lambda: registry.admission.bytes_given_back))
        yield
        trimming.cancel()
        registry.drain()
        await checking
        await asyncio.to_thread(registry.close)

    app = FastAPI(
        title="I-JEPA Features",
        summary="Image and patch embeddings, and predictions of masked regions.",
        version="1",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
    )
    app.state.service = Service(settings, registry, telemetry)
    for router in ROUTERS:
        app.include_router(router)
    app.mount("/docs/assets", StaticFiles(directory=pages.SWAGGER), name="docs-assets")
    telemetry.known_routes(
        sorted({route.path for router in ROUTERS for route in router.routes if isinstance(route, Route)})
    )
    app.add_middleware(
        DirectRoutes, routes=[route for router in DIRECT for route in router.routes if isinstance(route, APIRoute)]
    )
    app.add_middleware(HeadAsGet)
    app.add_middleware(Claims, admission=registry.admission)
    hosts = AllowedHosts(settings.host, settings.allowed_hosts)
    if not hosts.any:
        app.add_middleware(CheckHost, hosts=hosts)
    app.add_middleware(CatchErrors, answer=answer_error, draining=lambda: registry.draining)
    app.add_middleware(RequestLog, telemetry=telemetry)
    app.add_exception_handler(ServiceError, answer_error)
    app.add_exception_handler(HTTPException, answer_error)
    return app


async def answer_error(request: Request, error: Exception) -> Response:
    """Any error in the one shape. An error of ours is logged whole and answered in one sentence."""
    if isinstance(error, ClientDisconnected):
        return Response(status_code=CLIENT_LEFT)  # nobody reads it: it is for the log and the metrics
    raised = error
    if isinstance(error, HTTPException):
        error = _from_http(error, request)
    elif isinstance(error, IJEPAError):
        error = translate(error)
    if not isinstance(error, ServiceError):
        log.error("request %s failed", request.state.request_id, exc_info=error)
        error = Internal("this is a fault of the server; its log has the details under this request's id")
    else:
        _forget_frames(raised)
    request.state.error_code = error.code
    request.app.state.service.telemetry.errors.labels(error.code).inc()
    body = {"error": error.message} if f"{request.scope['path']}/".startswith(V2) else error.body()
    return json_response(body, error.status, error.headers())


def _forget_frames(error: BaseException | None) -> None:
    """An error holds the frames that it passed, and these hold the body and the error: both would stay until cycles are collected."""
    while error is not None:
        error.__traceback__ = None
        error = error.__cause__ or error.__context__


def _from_http(error: HTTPException, request: Request) -> ServiceError:
    """Starlette's own errors: an unknown path, a wrong method, a form that cannot be read."""
    path = request.scope["path"][:MAX_ECHOED]
    if error.status_code == NotFound.status:
        return NotFound(f"there is nothing at {path}; /docs lists the routes")
    if error.status_code == MethodNotAllowed.status:
        allowed = (error.headers or {}).get("Allow", "another method")
        return MethodNotAllowed(f"{path} takes {allowed}, not {request.method}", allowed)
    if error.status_code < Internal.status:
        return InvalidRequest(str(error.detail))
    return Internal(str(error.detail))
