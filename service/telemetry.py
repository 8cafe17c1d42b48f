"""Prometheus metrics of one app, in a registry of its own. Every series exists, at zero, from the start."""

import functools
from collections.abc import Callable, Collection, Iterable
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from service.errors import all_errors
from service.operations.base import Timings
from service.operations.table import OPERATIONS

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128)
CLIENT_LEFT = 499
"""The status, in metrics and log alone, of a client that left before it was answered (nginx' number)."""

OTHER = "other"
"""The route of requests that match none."""


class Held(NamedTuple):
    """What a server holds at a time: items that wait by place, seconds of accepted work, bytes, and restarts of decoding workers."""

    queue_items: int
    light_items: int
    heavy_items: int
    seconds: float
    heavy_seconds: float
    bytes: int
    restarts: int


class Telemetry:
    """Counters and histograms, and the functions that fill them."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.requests = Counter(
            "ijepa_requests", "Requests by route and status.", ["route", "status"], registry=registry
        )
        self.seconds = Histogram(
            "ijepa_request_seconds", "From the first byte read to the last written.", ["route"], buckets=SECONDS,
            registry=registry,
        )  # fmt: skip
        self.errors = Counter("ijepa_errors", "Error responses by code.", ["code"], registry=registry)
        self.stages = Histogram(
            "ijepa_stage_seconds", "Seconds of an image by stage.", ["stage"], buckets=SECONDS, registry=registry
        )
        self.images = Counter("ijepa_images", "Images answered.", ["operation"], registry=registry)
        self.batches = Histogram(
            "ijepa_batch_size", "Items of a batch.", ["operation"], buckets=SIZES, registry=registry
        )
        self.batch_seconds = Histogram(
            "ijepa_batch_seconds", "Seconds of a batch.", ["operation"], buckets=SECONDS, registry=registry
        )
        self.queue_items = Gauge("ijepa_queue_items", "Images that wait for the device.", registry=registry)
        self.decode_items = Gauge(
            "ijepa_decode_items", "Images that wait to be decoded, by kind of worker.", ["worker"], registry=registry
        )
        self.queue_seconds = Gauge(
            "ijepa_queue_seconds", "Seconds of accepted work, by what it waits for.", ["stage"], registry=registry
        )
        self.bytes = Gauge("ijepa_bytes_in_flight", "Bytes of requests that are held.", registry=registry)
        self.connections = Gauge("ijepa_connections", "Open connections.", registry=registry)
        self.restarts = Gauge("ijepa_decode_restarts", "Times that a decoding worker was restarted.", registry=registry)
        self.ready = Gauge(
            "ijepa_ready", "1 once the canonical image of every model came out right.", registry=registry
        )
        self._of_stages = tuple(self.stages.labels(stage) for stage in Timings._fields)
        self._of_routes: dict[str, Histogram] = {}
        self._of_answers: dict[tuple[str, int], Counter] = {}
        self._start_at_zero()

    def _start_at_zero(self) -> None:
        for error in all_errors():
            self.errors.labels(error.code)
        for operation in OPERATIONS:
            self.batches.labels(operation)
            self.batch_seconds.labels(operation)
            self.images.labels(operation)

    def known_routes(self, routes: Iterable[str]) -> None:
        """Series of every route, from the start."""
        statuses = sorted({200, CLIENT_LEFT, *(error.status for error in all_errors())})
        for route in [*routes, OTHER]:
            self._of_routes[route] = self.seconds.labels(route)
            for status in statuses:
                self._of_answers[route, status] = self.requests.labels(route, str(status))

    def watch(self, held: Callable[[], Held], ready: Callable[[], bool]) -> None:
        """Functions that are read when the metrics are: what the server holds, and readiness."""
        for gauge, field in (
            (self.queue_items, "queue_items"),
            (self.decode_items.labels("light"), "light_items"),
            (self.decode_items.labels("heavy"), "heavy_items"),
            (self.queue_seconds.labels("all"), "seconds"),
            (self.queue_seconds.labels("heavy"), "heavy_seconds"),
            (self.bytes, "bytes"),
            (self.restarts, "restarts"),
        ):
            gauge.set_function(functools.partial(lambda name: float(getattr(held(), name)), field))
        self.ready.set_function(lambda: float(ready()))

    def batch(self, operation: str, size: int, seconds: float) -> None:
        """A batch has run."""
        self.batches.labels(operation).observe(size)
        self.batch_seconds.labels(operation).observe(seconds)

    def answered(self, operation: str, timings: Collection[Timings]) -> None:
        """Images were answered."""
        self.images.labels(operation).inc(len(timings))
        for image in timings:
            for series, seconds in zip(self._of_stages, image, strict=True):
                series.observe(seconds)

    def request(self, route: str, status: int, seconds: float) -> None:
        """A request is over. To look a series up by its labels costs more than to count in it."""
        answers = self._of_answers.get((route, status)) or self.requests.labels(route, str(status))
        answers.inc()
        (self._of_routes.get(route) or self.seconds.labels(route)).observe(seconds)

    def text(self) -> bytes:
        """Prometheus' format."""
        return generate_latest(self.registry)
