"""The figures as plain tables."""

from collections.abc import Sequence

from models.config import EncoderConfig
from service.bench.record import HTTP, Decoding, Engine, Load, Machine, WaySpeed

ABSENT = "-"
"""What was not measured."""


def machine_text(machine: Machine) -> str:
    """Processor, versions, matrix products."""
    versions = ", ".join(f"{name} {number}" for name, number in machine.versions.items())
    peaks = ", ".join(f"{precision} {gflops:,.0f} GFLOP/s" for precision, gflops in machine.gemm_gflops.items())
    return f"machine   {machine.description}\nversions  {versions}\nGEMM peak {peaks}"


def engine_text(engine: Engine, bundle: str, encoder: EncoderConfig, asked: tuple[str, str]) -> str:
    """A row for each way, the chosen one marked; what keeps others from being chosen, and where the choice is kept.

    `asked` are the runtime and the precision as a server takes them.
    """
    head = (
        "  engine", "images/s", "batch", "ms, batch 1", "core-ms/image", "GFLOP/s", "of GEMM peak", "cosine to float32",
    )  # fmt: skip
    lines = [f"{bundle}: {encoder.flop / 1e9:,.3g} GFLOP an image", *table([head, *map(_engine_row, engine.ways)])]
    for way in engine.ways:
        if way.float32_outputs:
            lines.append(f"  {way.runtime} {way.precision}: {' and '.join(way.float32_outputs)} in float32")
        if way.problem is not None:
            lines.append(f"  {way.runtime} {way.precision} is not used: {way.problem}")
    kept = f"; kept in {engine.kept_in}" if engine.kept_in else ""
    return "\n".join([*lines, f"* is what ijepa serve takes with --runtime {asked[0]} --precision {asked[1]}{kept}"])


def _engine_row(way: WaySpeed) -> tuple[str, ...]:
    return (
        f"{'*' if way.chosen else ' '} {way.runtime} {way.precision}",
        number(way.images_per_second),
        str(way.batch_size),
        number(way.single_ms),
        number(way.core_ms),
        number(way.gflops),
        percent(way.gemm_share),
        ABSENT if way.cosine is None else f"{way.cosine:.5f}",
    )


def decoding_text(decodings: Sequence[Decoding], mode: str) -> str:
    """A row for each kind of image."""
    head = (f"  decode ({mode}) and preprocess", "kB", "core-ms/image")
    rows = [(f"  {decoding.image}", number(decoding.bytes / 1000), number(decoding.ms)) for decoding in decodings]
    return "\n".join(table([head, *rows]))


def http_text(http: HTTP) -> str:
    """A row for each closed loop."""
    head = (
        "  clients", "images/s", "of the engine", "p50 ms", "p95 ms", "server core-ms/image", "client core-ms/image",
        "failures",
    )  # fmt: skip
    title = (
        f"HTTP: {http.image} over kept connections, answered in JSON; {http.runtime} {http.precision}, "
        f"at most {http.batch_size} images together"
    )
    spent = ", ".join(f"{load.client_seconds:.2f} s of {load.seconds:.2f} s" for load in http.loads)
    return "\n".join(
        [title, *table([head, *map(_load_row, http.loads)]), f"CPU time of the client, on the same cores: {spent}"]
    )


def _load_row(load: Load) -> tuple[str, ...]:
    failures = ", ".join(f"{count} {reason}" for reason, count in load.failures.items())
    return (
        f"  {load.clients}",
        number(load.requests_per_second),
        percent(load.engine_share),
        number(load.p50_ms),
        number(load.p95_ms),
        number(load.server_core_ms),
        number(load.client_core_ms),
        failures or "0",
    )


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines with the first column to the left and the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        )
        for row in rows
    ]


def number(value: float | None) -> str:
    """Three digits, more where they are before the point."""
    if value is None:
        return ABSENT
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def percent(share: float | None) -> str:
    """A share of 1 as percent."""
    return ABSENT if share is None else f"{100 * share:.0f} %"
