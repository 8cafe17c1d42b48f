"""What the server says of itself: metrics that exist from the start, a request id for every answer, clocks of every picture."""

import logging
import re
import time
import uuid

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.engine import Clocks, Engine
from service.errors import all_errors

log = logging.getLogger(__name__)

REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}", re.ASCII)
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128)
GONE = 499
"""The status, in metrics and log alone, of a client that left before it was answered."""

OTHER = "other"
"""The route of requests that fit none."""

QUIET = ("/health", "/health/live", "/health/ready", "/metrics")
"""Routes that machines ask every few seconds: not worth a line."""

STAGES = Clocks._fields
GRAPHS = ("encoder", "predictor")
JOURNEYS = ("embed", "predict")


class Telemetry:
    """One app's metrics, in a registry of its own, every series set to zero at the start."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "ijepa_requests", "Requests by route and status.", ["route", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "ijepa_request_seconds", "From the first byte read to the last written.", ["route"], buckets=SECONDS,
            registry=self.registry,
        )  # fmt: skip
        self.errors = Counter("ijepa_errors", "Error answers by code.", ["code"], registry=self.registry)
        self.stages = Histogram(
            "ijepa_stage_seconds", "What a picture spent where.", ["stage"], buckets=SECONDS, registry=self.registry
        )
        self.images = Counter("ijepa_images", "Pictures answered.", ["journey"], registry=self.registry)
        self.batches = Histogram(
            "ijepa_batch_size", "Items of a batch.", ["graph"], buckets=SIZES, registry=self.registry
        )
        self.batch_seconds = Histogram(
            "ijepa_batch_seconds", "What a batch took.", ["graph"], buckets=SECONDS, registry=self.registry
        )
        self.queue_items = Gauge("ijepa_queue_items", "Pictures that wait for the device.", registry=self.registry)
        self.queue_seconds = Gauge("ijepa_queue_seconds", "What they should take.", registry=self.registry)
        self.ready = Gauge("ijepa_ready", "1 once the canonical picture came out right.", registry=self.registry)
        self._start_at_zero()

    def _start_at_zero(self) -> None:
        for error in all_errors():
            self.errors.labels(error.code)
        for stage in STAGES:
            self.stages.labels(stage)
        for graph in GRAPHS:
            self.batches.labels(graph)
            self.batch_seconds.labels(graph)
        for journey in JOURNEYS:
            self.images.labels(journey)

    def known_routes(self, routes: list[str]) -> None:
        """Series of every route, from the start."""
        statuses = sorted({200, GONE, *(error.status for error in all_errors())})
        for route in [*routes, OTHER]:
            self.seconds.labels(route)
            for status in statuses:
                self.requests.labels(route, str(status))

    def watch(self, engines: dict[str, Engine]) -> None:
        """Read the queues when the metrics are read."""
        self.queue_items.set_function(lambda: sum(engine.waiting()[0] for engine in engines.values()))
        self.queue_seconds.set_function(lambda: sum(engine.waiting()[1] for engine in engines.values()))

    def batch(self, graph: str, size: int, seconds: float) -> None:
        """A batch has run."""
        self.batches.labels(graph).observe(size)
        self.batch_seconds.labels(graph).observe(seconds)

    def pictures(self, journey: str, clocks: list[Clocks]) -> None:
        """Pictures were answered."""
        self.images.labels(journey).inc(len(clocks))
        for picture in clocks:
            for stage, seconds in zip(STAGES, picture, strict=True):
                self.stages.labels(stage).observe(seconds)

    def text(self) -> bytes:
        """Prometheus' format."""
        return generate_latest(self.registry)


class RequestLog:
    """ASGI middleware: every answer gets `x-request-id` (the client's own if it is printable and short), a metric and a log line."""

    def __init__(self, app: ASGIApp, telemetry: Telemetry) -> None:
        self.app, self.telemetry = app, telemetry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the class."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = dict(scope["headers"]).get(b"x-request-id", b"").decode("latin-1")
        request_id = given if REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        scope.setdefault("state", {})["request_id"] = request_id
        start, status = time.monotonic(), GONE

        async def tagged(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", request_id.encode())]
            await send(message)

        try:
            await self.app(scope, receive, tagged)
        finally:
            seconds = time.monotonic() - start
            route = getattr(scope.get("route"), "path", OTHER)
            self.telemetry.requests.labels(route, str(status)).inc()
            self.telemetry.seconds.labels(route).observe(seconds)
            level = logging.DEBUG if route in QUIET else logging.INFO
            path = scope.get("raw_path", b"").decode("ascii", "backslashreplace")
            log.log(level, "%s %s %s %d %.1f ms", request_id, scope["method"], path, status, 1000 * seconds)
