"""A job on this machine: list, then shard by shard read, embed, write. Killed and started again, it goes on after its last part."""

import fcntl
import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from models.errors import ConfigError, DataError
from models.files import whole_file, write_whole
from models.progress import progress
from service.encoding import DType
from service.engine import EmbedOptions, Engine
from service.errors import NotFound, ServiceError
from service.jobs.sinks import Outcome, Shape, part_path, statuses_of, write_part
from service.jobs.sources import Listing, Row, list_sources
from service.pooling import output_name

FORMAT = 1
JOB, LISTING, SUCCESS, LOCK = "job.json", "listing.parquet", "_SUCCESS.json", ".lock"
SHARD_ROWS, SHARD_BYTES = 1000, 64_000_000
READERS = 4


class Report(NamedTuple):
    """What a finished job did: rows by status, and files of the sources that are no pictures by suffix."""

    statuses: Counter[str]
    others: dict[str, int]


def run_job(
    sources: Sequence[str], out: Path, engine: Engine, options: EmbedOptions, overwrite: bool = False
) -> Report:
    """Embed all pictures of `sources` into `out`, or finish what an earlier call began there.

    Raises:
        ConfigError: `out` holds a job with other options, or is in use.
        DataError: the sources cannot be listed, or `out` holds something else.
    """
    with only_one(out):
        description, listing = open_job(sources, out, engine, options, overwrite)
        rows, size = listing.rows, int(description["shard_rows"])
        shards = [rows[start : start + size] for start in range(0, len(rows), size)]
        done = sum(len(shard) for i, shard in enumerate(shards) if part_path(out, i).exists())
        with progress(len(rows), "embedding", "pictures", done) as bar:
            for i, shard in enumerate(shards):
                if not part_path(out, i).exists():
                    outcomes = []
                    for outcome in embed_rows(shard, engine, options, int(description["batch"])):
                        outcomes.append(outcome)
                        bar.update()
                    write_part(part_path(out, i), outcomes, shape_of(engine, options), description["metadata"])
        statuses = Counter(status for i in range(len(shards)) for status in statuses_of(part_path(out, i)))
        report = Report(statuses, dict(listing.others))
        write_whole(out / SUCCESS, json.dumps({"rows": len(rows), **report._asdict()}, indent=2) + "\n")
        return report


def embed_rows(rows: Sequence[Row], engine: Engine, options: EmbedOptions, batch: int) -> Iterator[Outcome]:
    """The rows of one shard in order, in batches of the same rows every time. The next batch is read while one is computed."""
    name = output_name(engine.manifest, options.output, options.pooling)
    with ThreadPoolExecutor(READERS, thread_name_prefix="read") as pool:
        groups = [rows[start : start + batch] for start in range(0, len(rows), batch)]
        reading: list[list[Future[tuple[Outcome, np.ndarray | None]]]] = []
        for ahead in range(len(groups) + 1):
            if ahead < len(groups):
                reading.append([pool.submit(read_row, row, engine, options) for row in groups[ahead]])
            if ahead:
                read = [future.result() for future in reading.pop(0)]
                yield from compute(read, engine, name, options.dtype)


def read_row(row: Row, engine: Engine, options: EmbedOptions) -> tuple[Outcome, np.ndarray | None]:
    """The pixels of one picture, or an outcome that says why there are none."""
    digest = None
    try:
        data = read_bytes(row)
        digest = hashlib.sha256(data).hexdigest()
        pixels, size = engine.to_pixels(data, options.fit)
    except ServiceError as error:
        return Outcome(row, digest, None, None, error.code, error.message), None
    return Outcome(row, digest, size, None, "ok", None), pixels


def read_bytes(row: Row) -> bytes:
    """A file's bytes.

    Raises:
        NotFound: it is gone or may not be read.
    """
    try:
        return Path(row.uri).read_bytes()
    except OSError as error:
        raise NotFound(f"the file cannot be read: {error.strerror}") from error


def compute(
    read: Sequence[tuple[Outcome, np.ndarray | None]], engine: Engine, output: str, dtype: DType
) -> Iterator[Outcome]:
    """The numbers of the pictures that could be read, in one batch; the others as they are."""
    pixels = [array for _, array in read if array is not None]
    values = iter(engine.runtime.encode(np.stack(pixels), [output])[output].astype(dtype) if pixels else [])
    for outcome, array in read:
        yield outcome if array is None else outcome._replace(values=next(values))


def shape_of(engine: Engine, options: EmbedOptions) -> Shape:
    """The numbers of one picture."""
    encoder = engine.manifest.model.encoder
    if options.output == "patches":
        return Shape(encoder.patches * encoder.width, options.dtype, encoder.grid)
    return Shape(engine.manifest.poolings[options.pooling], options.dtype, None)


def open_job(
    sources: Sequence[str], out: Path, engine: Engine, options: EmbedOptions, overwrite: bool
) -> tuple[dict[str, Any], Listing]:
    """Begin a job, or take up the one that is there. `job.json` is written after the listing, so it marks a whole beginning.

    Raises:
        ConfigError: the job there has other options; they are named.
        DataError: nothing to embed, or `out` has something else in it.
    """
    description = describe(sources, engine, options)
    if (out / JOB).exists() and not overwrite:
        before = json.loads((out / JOB).read_text())
        if wrong := differences(flat(before), flat(description)):
            raise ConfigError(
                f"{out} holds a job with other settings: {'; '.join(wrong)}; use another --out, or --overwrite"
            )
        return description, read_listing(out / LISTING)
    listing = list_sources(sources)
    if (out / JOB).exists():
        clear(out)
    ours = (LOCK, LISTING, f".{LISTING}.tmp", f".{JOB}.tmp")
    if foreign := sorted(path.name for path in out.iterdir() if path.name not in ours):
        raise DataError(f"{out} holds no job but other files ({foreign[0]}); use another --out")
    write_listing(out / LISTING, listing)
    write_whole(out / JOB, json.dumps(description, indent=2) + "\n")
    return description, listing


def describe(sources: Sequence[str], engine: Engine, options: EmbedOptions) -> dict[str, Any]:
    """Everything that a job fixes when it starts, as JSON values.

    Raises:
        UnsupportedOption: a pooling that the bundle does not have.
    """
    output_name(engine.manifest, options.output, options.pooling)
    shape = shape_of(engine, options)
    row_bytes = shape.length * np.dtype(shape.dtype).itemsize
    metadata = {
        "bundle": engine.manifest.id,
        "bundle_sha256": engine.bundle.sha256,
        "output": options.output,
        "pooling": options.pooling if options.output == "pooled" else "none",
        "fit": options.fit or engine.manifest.model.pixels.fit,
        "runtime": engine.runtime.name,
        "precision": engine.runtime.precision,
    }
    return {
        "format": FORMAT,
        "sources": [str(Path(source).resolve()) for source in sources],
        "dtype": options.dtype,
        "batch": engine.settings.max_batch,
        "shard_rows": max(1, min(SHARD_ROWS, SHARD_BYTES // row_bytes)),
        "metadata": metadata,
    }


def flat(description: dict[str, Any]) -> dict[str, Any]:
    """A description with the metadata's fields beside the others."""
    return {**description, **description["metadata"], "metadata": None}


def differences(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """The fields that two descriptions do not share, as `pooling was 'mean', is 'last4'`."""
    return [f"{key} was {before.get(key)!r}, is {now[key]!r}" for key in now if before.get(key) != now[key]]


def write_listing(path: Path, listing: Listing) -> None:
    """The rows, with the count of other files as metadata."""
    table = pa.table({"id": [row.id for row in listing.rows], "uri": [row.uri for row in listing.rows]})
    with whole_file(path) as temporary:
        pq.write_table(table.replace_schema_metadata({"others": json.dumps(listing.others)}), temporary)


def read_listing(path: Path) -> Listing:
    """What `write_listing` wrote."""
    table = pq.read_table(path)
    others = Counter(json.loads(table.schema.metadata[b"others"]))
    return Listing([Row(*pair) for pair in zip(table["id"].to_pylist(), table["uri"].to_pylist(), strict=True)], others)


def clear(out: Path) -> None:
    """Delete a job's files and nothing else; what says that it is finished goes first, what says that it is a job last."""
    (out / SUCCESS).unlink(missing_ok=True)
    for path in [*out.glob("part-[0-9]*.parquet"), *out.glob(".*.tmp"), out / LISTING, out / JOB]:
        path.unlink(missing_ok=True)


@contextmanager
def only_one(out: Path) -> Iterator[None]:
    """Hold the folder's lock, which the system drops when the process ends, however it ends.

    Raises:
        ConfigError: another process holds it, or the folder cannot be made.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        lock = (out / LOCK).open("w")
    except OSError as error:
        raise ConfigError(f"{out} cannot be written to: {error.strerror}") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConfigError(f"another job is running in {out}") from error
        yield
