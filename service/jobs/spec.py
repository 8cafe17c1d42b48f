"""What a job fixes when it starts. Resuming it with other values is an error that names them."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import numpy as np
from pydantic import Field, ValidationError

from models.bundle.manifest import CANONICAL, CONTEXT, ENCODER, PREDICTOR, Manifest
from models.bundle.reader import Bundle, variant_file
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

GRAPHS_OF_BUNDLES = {
    # fashion-mnist-nano of version 0.1.0, whose manifest had format 2
    "50390da40b6d8a28a60ebbb5ae8d62b6ecbbf9c3aa16acfeab7f30dffba15985": (
        "33ba97e2afcbe6d9cab6bc1ce9cd603bb836cf54e0aa0cae34a4106ac21d9099"
    ),
}
"""`graphs_sha256` by `bundle_sha256`, of shipped bundles whose manifest changed; the record of format 1 has only the latter."""


class JobSpec(Frozen):
    """A job's record.

    `sources` are URIs that mean the same in every working directory; `pooling` is `none` for patches. Bundles with the same
    `graphs_sha256` compute the same embeddings (see `graphs_digest`); `bundle_sha256` is that of the bundle that began the job.
    """

    format: Literal[2] = FORMAT
    sources: tuple[str, ...]
    by_suffix: bool = False
    sink: str
    bundle: str
    bundle_sha256: str
    graphs_sha256: str | None = None
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
    sources: Sequence[str],
    bundle: Bundle,
    runtime: Runtime,
    options: EmbedOptions,
    batch: int,
    sink: str,
    by_suffix: bool,
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
        by_suffix=by_suffix,
        sink=sink,
        bundle=manifest.id,
        bundle_sha256=bundle.sha256,
        graphs_sha256=graphs_digest(manifest, runtime.precision),
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


def graphs_digest(manifest: Manifest, precision: str = "float32") -> str:
    """The sha256 of what an embedding depends on: the graphs, their weights and expected outputs, and the preprocessing.

    Graphs of other precisions than `precision` and float32 do not count: a bundle may get and lose them.
    """
    others = {
        variant_file(graph, variant)
        for variant in manifest.variants
        if variant != precision
        for graph in (ENCODER, CONTEXT, PREDICTOR)
    } - {ENCODER, CONTEXT, PREDICTOR}
    suffixes = (".onnx", ".data", CANONICAL)
    files = {
        name: file.sha256
        for name, file in manifest.files.items()
        if name.endswith(suffixes) and name.removesuffix(".data") not in others
    }
    content = {"files": files, "pixels": manifest.model.pixels.model_dump(mode="json", exclude_defaults=True)}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def changed_fields(before: JobSpec, now: JobSpec) -> list[str]:
    """The fields in which two records differ, as `pooling was 'mean', is 'last4'`.

    Not compared are `shard_rows`, which a job keeps, and `bundle_sha256` where the graphs are the same.
    """
    ignored = {"shard_rows", "graphs_sha256"}
    if before.graphs_sha256 and before.graphs_sha256 == now.graphs_sha256:
        ignored.add("bundle_sha256")
    old, new = before.model_dump(exclude=ignored), now.model_dump(exclude=ignored)
    return [f"{name} was {_shown(old[name])}, is {_shown(new[name])}" for name in new if old[name] != new[name]]


def spec_from_json(text: str | bytes, path: Path) -> JobSpec:
    """A record of any format from the content of the file `path`.

    Raises:
        ConfigError: it is malformed, or of a newer format.
    """
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
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
    metadata = metadata if isinstance(metadata, dict) else {}
    rest = {name: value for name, value in document.items() if name != "metadata"}
    return {
        **rest,
        **metadata,
        "format": FORMAT,
        "graphs_sha256": GRAPHS_OF_BUNDLES.get(str(metadata.get("bundle_sha256"))),
        "sink": "parquet",
        "normalize": False,
    }


def _shown(value: Any) -> str:
    return ", ".join(value) if isinstance(value, tuple) else repr(value)
