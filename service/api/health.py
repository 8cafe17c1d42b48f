"""Whether the server is alive, whether it can work, and what it counts."""

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST

from service.api.dependencies import ServiceDep
from service.api.openapi import document_route
from service.api.responses import json_response
from service.errors import Draining, NotReady
from service.schemas import Alive, Ready

router = APIRouter(tags=["health"])


@router.get("/health/live", response_model=Alive, summary="Is the process alive")
async def live() -> Response:
    """200 as long as the server answers at all."""
    return json_response({"status": "live"})


@router.get("/health/ready", response_model=Ready, summary="Can it work", **document_route(None, NotReady, Draining))
@router.get(
    "/health",
    response_model=Ready,
    summary="Can it work",
    operation_id="health",
    **document_route(None, NotReady, Draining),
)
async def ready(service: ServiceDep) -> Response:
    """200 once the canonical image of every model came out right, until the server is told to stop."""
    service.registry.check_ready()
    return json_response({"status": "ready", "models": list(service.registry.models)})


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    summary="Counters for Prometheus",
)
async def metrics(service: ServiceDep) -> Response:
    """Every series is there from the start."""
    return Response(service.telemetry.text(), media_type=CONTENT_TYPE_LATEST)
