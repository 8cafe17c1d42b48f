"""What `ijepa bench` measures, as a typed record."""

from typing import Literal

from models.config import Frozen
from models.runtimes.choices import Way


class Machine(Frozen):
    """Processor, flags, cores and GPUs; versions; the fastest matrix products by precision, on all cores."""

    description: str
    versions: dict[str, str]
    gemm_gflops: dict[str, float]


class WaySpeed(Way):
    """A way to run the encoder, measured in batches of `batch_size`; `single_ms` is of a batch of one image.

    `core_ms` are CPU milliseconds an image, of all threads. `gemm_share` is the share of the matrix products of the same
    precision on the same device. What is None was not measured.
    """

    chosen: bool
    single_ms: float | None = None
    core_ms: float | None = None
    gflops: float | None = None
    gemm_share: float | None = None


class Engine(Frozen):
    """All ways that the runtime and the precision asked for leave open. `kept_in` is the folder that keeps the choice."""

    ways: tuple[WaySpeed, ...]
    kept_in: str | None


class Decoding(Frozen):
    """CPU milliseconds from the bytes of an image to the pixels that the network takes. `bytes` is a mean."""

    image: str
    bytes: int
    ms: float


class Load(Frozen):
    """A closed loop: each connection sends its next request when the last one is answered.

    `seconds` is until the last answer. Rates and percentiles are of the `answered` requests, those with status 200; `failures`
    are all others by status or reason. `server_core_ms` and `client_core_ms` are CPU milliseconds an answered request.
    """

    clients: int
    seconds: float
    answered: int
    failures: dict[str, int]
    requests_per_second: float
    p50_ms: float | None
    p95_ms: float | None
    server_core_ms: float | None
    client_seconds: float
    client_core_ms: float | None
    engine_share: float | None


class HTTP(Frozen):
    """A server of this installation on loopback: how it runs the model, what was sent to it, and the closed loops."""

    runtime: str
    precision: str
    batch_size: int
    image: str
    loads: tuple[Load, ...]


class Bench(Frozen):
    """A whole measurement. `notes` say what was left out or changed, and why."""

    format: Literal[1] = 1
    measured_at: str
    bundle: str
    bundle_sha256: str
    runtime: str
    precision: str
    seconds: float
    flop_per_image: int
    machine: Machine
    engine: Engine
    decoding: tuple[Decoding, ...]
    http: HTTP
    notes: tuple[str, ...]
