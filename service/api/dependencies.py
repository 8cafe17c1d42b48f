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


def _service(request: Request) -> Service:
    return cast(Service, request.app.state.service)


ServiceDep = Annotated[Service, Depends(_service)]
