"""What the routes need of the app: its settings, its models, its metrics."""

from typing import Annotated, NamedTuple, cast

from fastapi import Depends, Request

from service.registry import Registry
from service.settings import Settings
from service.telemetry import Telemetry


class Service(NamedTuple):
    """One app's parts."""

    settings: Settings
    registry: Registry
    telemetry: Telemetry


async def service_of(request: Request) -> Service:
    """The parts of the app that answers a request. A coroutine, since FastAPI calls any other function on a thread."""
    return cast(Service, request.app.state.service)


ServiceDep = Annotated[Service, Depends(service_of)]
