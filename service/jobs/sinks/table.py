"""The table of sinks."""

from service.jobs.sinks.base import Sink
from service.jobs.sinks.parquet import Parquet

SINKS: dict[str, Sink] = {
    "parquet": Parquet(),
}
"""By the name that `ijepa embed --format` takes."""
