"""A server of this installation under load: a closed loop at one connection, and at many."""

from collections.abc import Sequence

import numpy as np

from models.bundle.reader import Bundle
from models.progress import Progress, no_progress
from service.bench.closed_loop import Loop, Requests, post_requests, run_closed_loop
from service.bench.decoding import Sample
from service.bench.record import HTTP, Engine, Load, WaySpeed
from service.bench.server import HOST, cpu_seconds, running_server
from service.settings import Settings

PATH = "/v1/images/embeddings"
MAX_WAIT_SECONDS = 20.0
"""No more images are sent together than the engine computes in this time: a server that is asked for more refuses them."""


def measure_http(
    bundle: Bundle,
    settings: Settings,
    sample: Sample,
    engine: Engine,
    load: tuple[int, float],
    notes: list[str],
    progress: Progress = no_progress,
) -> HTTP:
    """Closed loops at 1 and at `load[0]` connections, each for `load[1]` seconds and at least one request a connection.

    Raises:
        ConfigError: the server does not start.
    """
    most, seconds = load
    with progress(3, "measuring HTTP", "steps") as stage, running_server(bundle, settings) as server:
        stage.update()
        used = _way_of(engine, server.runtime, server.precision)
        rate = used.images_per_second if used else None
        clients = connections(most, rate, notes)
        requests = post_requests(HOST, server.port, PATH, sample.content_type, sample.files)
        loads = []
        for number in dict.fromkeys((1, clients)):
            loads.append(_measure_load(requests, number, seconds, server.pid, rate))
            stage.update()
    return HTTP(
        runtime=server.runtime,
        precision=server.precision,
        batch_size=server.batch_size,
        image=sample.name,
        loads=tuple(loads),
    )


def connections(asked: int, rate: float | None, notes: list[str]) -> int:
    """As many as asked for, or fewer on an engine of so few images a second that they would wait too long."""
    room = asked if rate is None else max(1, int(MAX_WAIT_SECONDS * rate))
    if asked <= room:
        return asked
    assert rate is not None
    notes.append(f"{room} clients instead of {asked}: {asked} images take the engine {asked / rate:.0f} s")
    return room


def _measure_load(requests: Requests, clients: int, seconds: float, pid: int, rate: float | None) -> Load:
    before = cpu_seconds(pid)
    loop = run_closed_loop(requests, clients, seconds)
    after = cpu_seconds(pid)
    server_seconds = None if before is None or after is None else after - before
    return as_load(loop, clients, server_seconds, rate)


def as_load(loop: Loop, clients: int, server_seconds: float | None, rate: float | None) -> Load:
    """The figures of a closed loop. `rate` is of the engine alone, in images a second."""
    answered = len(loop.latencies)
    p50, p95 = (1000 * np.percentile(loop.latencies, [50, 95])).tolist() if answered else (None, None)
    per_second = answered / max(loop.seconds, 1e-9)
    return Load(
        clients=clients,
        seconds=loop.seconds,
        answered=answered,
        failures=dict(loop.failures),
        requests_per_second=per_second,
        p50_ms=p50,
        p95_ms=p95,
        server_core_ms=1000 * server_seconds / answered if server_seconds is not None and answered else None,
        client_seconds=loop.client_seconds,
        client_core_ms=1000 * loop.client_seconds / answered if answered else None,
        engine_share=per_second / rate if rate else None,
    )


def _way_of(engine: Engine, runtime: str, precision: str) -> WaySpeed | None:
    """The way that the server took, as it was measured here."""
    ways: Sequence[WaySpeed] = engine.ways
    return next((way for way in ways if (way.runtime, way.precision) == (runtime, precision)), None)
