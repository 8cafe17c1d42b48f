"""Whether the server lives, whether it can work, and what it counts."""

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST

from service.api.answers import describe, json_answer
from service.api.state import StateDep
from service.errors import Draining, NotReady

router = APIRouter(tags=["health"])


@router.get("/health/live", summary="Is the process alive")
async def live() -> Response:
    """200 as long as the server answers at all."""
    return json_answer({"status": "live"})


@router.get("/health/ready", summary="Can it work", **describe(None, NotReady, Draining))
@router.get("/health", summary="Can it work", operation_id="health", **describe(None, NotReady, Draining))
async def ready(state: StateDep) -> Response:
    """200 once the canonical picture of every model came out right, until the server is told to stop."""
    if state.problem:
        raise state.problem
    return json_answer({"status": "ready", "models": list(state.engines)})


@router.get("/metrics", summary="Counters for Prometheus")
async def metrics(state: StateDep) -> Response:
    """Every series is there from the start."""
    return Response(state.telemetry.text(), media_type=CONTENT_TYPE_LATEST)
