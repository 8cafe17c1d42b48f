"""What a job fixes when it starts. Resuming it with other values is an error that names them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import numpy as np
from pydantic import Field, ValidationError

from models.bundle.reader import Bundle
from models.config import Frozen
from models.errors import ConfigError, validation_sentence
from models.images.preprocess import Fit
from models.images.sources.table import absolute_uri
from models.runtimes.networks import Runtime
from service.jobs.sinks.base import shape_of
from service.operations.base import DType, EmbedOptions, Output
from service.operations.embed import pooling_of

FORMAT: Final = 2
SHARD_ROWS, SHARD_BYTES = 1000, 64_000_000
"""A shard has at most so many rows, and about so many bytes of values."""


class JobSpec(Frozen):
    """A job's record. `sources` are URIs that mean the same in every working directory; `pooling` is `none` for patches."""

    format: Literal[2] = FORMAT
    sources: tuple[str, ...]
    sink: str
    bundle: str
    bundle_sha256: str
    output: Output
    pooling: str
    normalize: bool
    dtype: DType
    fit: Fit
    runtime: str
    precision: str
    batch: Annotated[int, Field(ge=1)]
    shard_rows: Annotated[int, Field(ge=1)]

    def metadata(self) -> dict[str, str]:
        """What every file of the output says about itself."""
        names = ("bundle", "bundle_sha256", "output", "pooling", "fit", "runtime", "precision")
        return {**{name: getattr(self, name) for name in names}, "normalize": str(self.normalize).lower()}


def make_spec(
    sources: Sequence[str], bundle: Bundle, runtime: Runtime, options: EmbedOptions, batch: int, sink: str
) -> JobSpec:
    """The record of a new job.

    Raises:
        OptionError: a pooling that the bundle does not have.
    """
    manifest = bundle.manifest
    shape = shape_of(manifest, options)
    row_bytes = shape.length * np.dtype(shape.dtype).itemsize
    return JobSpec(
        sources=tuple(absolute_uri(source) for source in sources),
        sink=sink,
        bundle=manifest.id,
        bundle_sha256=bundle.sha256,
        output=options.output,
        pooling=pooling_of(manifest, options) if options.output == "pooled" else "none",
        normalize=options.normalize,
        dtype=options.dtype,
        fit=options.fit or manifest.model.pixels.fit,
        runtime=runtime.name,
        precision=runtime.precision,
        batch=batch,
        shard_rows=max(1, min(SHARD_ROWS, SHARD_BYTES // row_bytes)),
    )


def differences(before: JobSpec, now: JobSpec) -> list[str]:
    """The fields in which two records differ, as `pooling was 'mean', is 'last4'`. `shard_rows` is the job's own affair."""
    old, new = before.model_dump(exclude={"shard_rows"}), now.model_dump(exclude={"shard_rows"})
    return [f"{name} was {_shown(old[name])}, is {_shown(new[name])}" for name in new if old[name] != new[name]]


def spec_from_json(text: str | bytes, path: Path) -> JobSpec:
    """A record of any format from the content of the file `path`.

    Raises:
        ConfigError: it is malformed, or of a newer format.
    """
    try:
        document = json.loads(text)
    except ValueError as error:
        raise ConfigError(f"{path} is malformed: {error}") from error
    version = document.get("format") if isinstance(document, dict) else None
    if isinstance(version, int) and version > FORMAT:
        raise ConfigError(
            f"{path} has job format {version}; this version reads up to {FORMAT}, install a newer ijepa-features"
        )
    try:
        return JobSpec.model_validate(upgrade(document) if version == 1 else document)
    except ValidationError as error:
        raise ConfigError(f"{path} is malformed: {validation_sentence(error)}") from error


def upgrade(document: dict[str, Any]) -> dict[str, Any]:
    """A record of format 1 as one of the newest: it had one sink, no normalisation, and some fields in an object `metadata`."""
    metadata = document.get("metadata")
    rest = {name: value for name, value in document.items() if name != "metadata"}
    return {
        **rest,
        **(metadata if isinstance(metadata, dict) else {}),
        "format": FORMAT,
        "sink": "parquet",
        "normalize": False,
    }


def _shown(value: Any) -> str:
    return ", ".join(value) if isinstance(value, tuple) else repr(value)
