"""Begin a job, or go on with the one that is there. The record is written after the listing: with it a job has begun."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from models.errors import ConfigError, DataError
from service.jobs.folder import LISTING, OWN, SPEC, SUCCESS, JobFolder
from service.jobs.listing import Changes, Listing, Sources, changes_of, listing_from_bytes, listing_to_bytes
from service.jobs.migrate import JOB, OLD_FILES, delete_old_files, has_old_job, migrate, read_old_spec
from service.jobs.sinks.table import SINKS
from service.jobs.spec import JobSpec, changed_fields, spec_from_json


class Job(NamedTuple):
    """An open job. `sources` is None where a finished job's sources cannot be listed any more; `changes` are those since it began."""

    spec: JobSpec
    listing: Listing
    sources: Sources | None
    changes: Changes

    def complete(self, folder: JobFolder, shard: int) -> bool:
        """Whether a shard is in the output."""
        return SINKS[self.spec.sink].path(folder.out, shard).exists()


def open_job(
    folder: JobFolder,
    spec: JobSpec,
    list_sources: Callable[[], Sources],
    update: bool,
    overwrite: bool,
    keep_batch: bool,
) -> Job:
    """The job of a folder, begun if it is not there; see `run_job` for the options.

    With `keep_batch` a job that is there may have another batch size.

    Raises:
        ConfigError: the job there has other settings; they are named.
        DataError: the sources cannot be listed, or the folder has something else in it.
    """
    folder.delete_temporaries()
    before = None if overwrite else read_spec(folder)
    if before is None:
        return begin(folder, spec, list_sources())
    if keep_batch:
        spec = spec.model_copy(update={"batch": before.batch})
    if wrong := changed_fields(before, spec):
        raise ConfigError(
            f"{folder.out} holds a job with other settings: {'; '.join(wrong)}; use another --out, or --overwrite"
        )
    if (folder.out / JOB).exists():
        migrate(folder, before)
    return resume(folder, before, list_sources, update)


def spec_of(out: Path) -> JobSpec | None:
    """The record of the job in a folder; None where there is none. See `read_spec`."""
    return read_spec(JobFolder(out, pa.schema([])))


def read_spec(folder: JobFolder) -> JobSpec | None:
    """The record of the job in a folder, of any format.

    Raises:
        ConfigError: it cannot be read.
    """
    if folder.has(SPEC):
        return spec_from_json(folder.read(SPEC), folder.own / SPEC)
    return read_old_spec(folder.out) if has_old_job(folder.out) else None


def holds_job(folder: JobFolder) -> bool:
    """Whether a folder holds a job of any format."""
    return folder.has(SPEC) or has_old_job(folder.out)


def check_start(folder: JobFolder, list_sources: Callable[[], Sources], overwrite: bool) -> None:
    """Check what a new job needs, before anything is created.

    Raises:
        ConfigError: the folder cannot be written to.
        DataError: the sources cannot be listed, or the folder has something else in it.
    """
    if overwrite or not holds_job(folder):
        folder.check_writable()
        check_foreign(folder)
        list_sources()


def check_foreign(folder: JobFolder) -> None:
    """Files that no job has written are an error.

    Raises:
        DataError: naming the first.
    """
    known = {OWN, *OLD_FILES}
    if holds_job(folder):
        known |= {path.name for path in part_files(folder)}
    names = sorted(path.name for path in folder.out.iterdir()) if folder.out.is_dir() else []
    if foreign := [name for name in names if name not in known]:
        raise DataError(f"{folder.out} is not the folder of a job, it holds {foreign[0]}; use another --out")


def part_files(folder: JobFolder) -> list[Path]:
    """The files that any sink has written to a folder."""
    return [path for sink in SINKS.values() for path in sink.files(folder.out)]


def begin(folder: JobFolder, spec: JobSpec, sources: Sources) -> Job:
    """Delete the job that is there, if any, and fix the listing and the record of this one."""
    check_foreign(folder)
    folder.delete(SUCCESS)
    for path in part_files(folder):
        path.unlink()
    (folder.out / JOB).unlink(missing_ok=True)  # before the listing, without which it is not a job
    delete_old_files(folder.out)
    folder.delete(SPEC)
    listing = Listing([], []).extended(sources.rows, spec.shard_rows)
    folder.write(LISTING, listing_to_bytes(listing))
    folder.write(SPEC, spec.model_dump_json(indent=2).encode())
    return Job(spec, listing, sources, Changes([], []))


def resume(folder: JobFolder, spec: JobSpec, list_sources: Callable[[], Sources], update: bool) -> Job:
    """Go on with a job. With `update`, rows that are new in the sources are listed behind the others, in new shards."""
    job = Job(spec, listing_from_bytes(folder.read(LISTING)), None, Changes([], []))
    try:
        sources = list_sources()
    except DataError:
        if update or not all(job.complete(folder, shard) for shard in job.listing.by_shard()):
            raise
        return job
    changes = changes_of(job.listing, sources)
    if update and changes.new:
        folder.delete(SUCCESS)
        job = job._replace(listing=job.listing.extended(changes.new, spec.shard_rows))
        folder.write(LISTING, listing_to_bytes(job.listing))
    return job._replace(sources=sources, changes=changes)
