"""Jobs of version 0.1.0, whose own files lay among the parts."""

from pathlib import Path

import pyarrow.parquet as pq

from models.errors import ConfigError
from service.jobs.folder import LISTING, SPEC, JobFolder
from service.jobs.listing import Listing, Row, listing_to_bytes
from service.jobs.spec import JobSpec, spec_from_json

JOB, OLD_LISTING = "job.json", "listing.parquet"
OLD_FILES = ("_SUCCESS.json", ".lock", ".listing.parquet.tmp", ".job.json.tmp", "._SUCCESS.json.tmp", OLD_LISTING, JOB)
"""In the order in which a migration deletes them: what says that it is a job goes last."""


def has_old_job(out: Path) -> bool:
    """Whether a folder holds a job of format 1. Without listing and parts it is what a killed `--overwrite` left of one."""
    return (out / JOB).exists() and ((out / OLD_LISTING).exists() or any(out.glob("part-*")))


def read_old_spec(out: Path) -> JobSpec:
    """The record of a job of format 1, as one of today's.

    Raises:
        ConfigError: it is malformed.
    """
    return spec_from_json((out / JOB).read_bytes(), out / JOB)


def migrate(folder: JobFolder, spec: JobSpec) -> None:
    """Move a job's files to where they lie today. Killed at any moment and called again, it completes.

    Raises:
        ConfigError: its listing is missing.
    """
    if not folder.has(SPEC):
        if not (folder.out / OLD_LISTING).exists():
            raise ConfigError(f"{folder.out / OLD_LISTING} is missing, use another --out, or --overwrite")
        table = pq.read_table(folder.out / OLD_LISTING)
        pairs = zip(table["id"].to_pylist(), table["uri"].to_pylist(), strict=True)
        rows = [Row(*pair) for pair in pairs]
        folder.write(LISTING, listing_to_bytes(Listing([], []).extended(rows, spec.shard_rows)))
        folder.write(SPEC, spec.model_dump_json(indent=2).encode())
    delete_old_files(folder.out)


def delete_old_files(out: Path) -> None:
    """Delete a job's own files of format 1, not its parts."""
    for name in OLD_FILES:
        (out / name).unlink(missing_ok=True)
