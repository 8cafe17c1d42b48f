"""A job on this machine: list, then read, embed and write shard by shard. Killed and started again, it goes on after its last part."""

import functools
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

from models.bundle.reader import Bundle
from models.images.decode import DecodeLimits
from models.progress import Progress, no_progress
from models.runtimes.networks import Runtime
from service.jobs.folder import SUCCESS, JobFolder
from service.jobs.listing import Changes, Sources
from service.jobs.opening import check_start, open_job
from service.jobs.rows import RowWork, embed_rows
from service.jobs.sinks.base import Outcome, as_table, schema_of, shape_of
from service.jobs.sinks.table import SINKS
from service.jobs.spec import make_spec
from service.operations.base import EmbedOptions


class Report(NamedTuple):
    """What is in a finished job's folder, and what this call did.

    `statuses` counts all rows by status, `written` the rows that this call wrote. `skipped` counts by reason what the sources
    hold besides images; `changes` are those of the sources since the job began.
    """

    statuses: Counter[str]
    written: int
    skipped: Counter[str]
    changes: Changes


def run_job(
    sources: Sequence[str],
    out: Path,
    bundle: Bundle,
    runtime: Runtime,
    options: EmbedOptions,
    *,
    limits: DecodeLimits,
    batch: int | None = None,
    sink: str = "parquet",
    by_suffix: bool = False,
    update: bool = False,
    overwrite: bool = False,
    progress: Progress = no_progress,
) -> Report:
    """Embed all images of `sources` into `out`, or finish what an earlier call began there.

    `batch` is the images computed at once; without it a new job takes what the runtime is best with, and one that is there keeps
    its own. `sink` is a key of `SINKS`. With `update`, images that are new in the sources are added; with `overwrite`, the job
    that is there is deleted first.

    The next images, of the next shard too, are read while a batch is computed, and a shard is written while the next one is
    computed. In memory are: two batches of preprocessed images ahead, the files and decoded images that the threads of
    `read_ahead` work on, and the values of two shards (`SHARD_BYTES` each).

    Raises:
        ConfigError: `out` holds a job with other settings, or is in use.
        OptionError: the bundle does not have the pooling.
        DataError: the sources cannot be listed, or `out` holds something else.
    """
    spec = make_spec(sources, bundle, runtime, options, batch or runtime.batch_size, sink, by_suffix)
    writer, shape = SINKS[sink], shape_of(bundle.manifest, options)
    folder = JobFolder(out, schema_of(shape, spec.metadata()))
    list_sources = functools.cache(lambda: Sources(spec.sources, spec.by_suffix, progress))
    check_start(folder, list_sources, overwrite)
    with folder.locked():
        job = open_job(folder, spec, list_sources, update, overwrite, keep_batch=batch is None)
        metadata = job.spec.metadata()
        shards = job.listing.by_shard()
        missing = {shard: rows for shard, rows in shards.items() if not job.complete(folder, shard)}
        written = sum(map(len, missing.values()))
        if missing:
            assert job.sources is not None
            work = RowWork(job.sources.read, bundle.manifest, runtime, options, limits)
            with (
                progress(len(job.listing.rows), "embedding", "images", len(job.listing.rows) - written) as stage,
                _written_behind(lambda shard, rows: writer.write(out, shard, as_table(rows, shape, metadata))) as write,
                closing(embed_rows(missing.values(), work, job.spec.batch)) as batches,
            ):
                for shard, rows in missing.items():
                    outcomes: list[Outcome] = []
                    while len(outcomes) < len(rows):
                        computed = next(batches)
                        outcomes += computed
                        stage.update(len(computed))
                    write(shard, outcomes)
        statuses = Counter(status for shard in shards for status in writer.statuses(out, shard))
        skipped = job.sources.skipped if job.sources else Counter[str]()
        counts = {"rows": len(job.listing.rows), "statuses": statuses, "skipped": skipped}
        folder.write(SUCCESS, json.dumps(counts, indent=2).encode())
        return Report(statuses, written, skipped, job.changes)


@contextmanager
def _written_behind(write: Callable[[int, list[Outcome]], None]) -> Iterator[Callable[[int, list[Outcome]], None]]:
    """`write` on a thread of its own, one shard at a time: while one is written the next one is computed, and no third waits.

    What it raises is raised by the next call, or at the end. An exception in the block waits for the shard that is being written.
    """
    writing: Future[None] | None = None

    def behind(shard: int, rows: list[Outcome]) -> None:
        nonlocal writing
        if writing:
            writing.result()
        writing = pool.submit(write, shard, rows)

    with ThreadPoolExecutor(1, thread_name_prefix="ijepa-write") as pool:
        yield behind
        if writing:
            writing.result()
