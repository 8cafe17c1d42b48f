"""The table of importers, and published weights to a checkpoint: read, infer the architecture, check every tensor."""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from models.bundle.published import PUBLISHED_SETTINGS, find_published
from models.checkpoint.record import TrainingRecord
from models.checkpoint.store import check_tensors
from models.config import ModelConfig
from models.errors import ImporterError
from models.importers.base import ForeignWeights, Importer, PreprocessingChoice, shorten
from models.importers.huggingface import HUGGING_FACE
from models.importers.infer import heads_note, infer_config
from models.importers.meta import META
from models.importers.tensor_names import with_prefix
from models.importers.timm import TIMM
from models.network.ijepa import IJEPA, PARTS
from models.progress import Progress, no_progress

IMPORTERS: dict[str, Importer] = {"timm": TIMM, "meta": META, "huggingface": HUGGING_FACE}
"""The first that accepts a source reads it."""


class Imported(NamedTuple):
    """A network as imported: what `write_checkpoint` takes, and notes for the user."""

    config: ModelConfig
    tensors: dict[str, Tensor]
    training: TrainingRecord
    notes: tuple[str, ...]


def describe_sources() -> str:
    """What can be imported, in a few words."""
    *first, last = (importer.description for importer in IMPORTERS.values())
    return f"{', '.join(first)} or {last}"


def import_source(
    source: str,
    heads: int | None = None,
    preprocessing: PreprocessingChoice = "trained",
    licence: str | None = None,
    progress: Progress = no_progress,
) -> Imported:
    """Read a source and check every tensor: its name, its shape, and that its values are finite.

    `heads` is for networks that are not in the table of sizes, also those with the width of one that is. `preprocessing` is
    that of the training and evaluation, or that of the source's own image processor.

    Raises:
        ImporterError: an unknown source, a truncated file, code in the file, another architecture, or values that are not finite.
        HubError: a repository that cannot be fetched.
    """
    weights = read_source(source, preprocessing)
    config = infer_config(weights, heads)
    absent = [part for part in PARTS if part not in weights.parts]
    tensors = {
        name: tensor for part in PARTS for name, tensor in with_prefix(weights.parts.get(part, {}), f"{part}.").items()
    }
    with torch.device("meta"):
        network = IJEPA(config, absent)
    check_tensors(network, tensors, weights.name)
    _check_finite(tensors, weights.name, progress)
    notes = (
        heads_note(weights, config.encoder.heads, heads),
        *([f"without {' and '.join(absent)} it can encode, not predict"] if absent else []),
        *weights.notes,
    )
    return Imported(config, _own_storage(tensors), _record_of(weights, licence), notes)


def read_source(source: str, preprocessing: PreprocessingChoice) -> ForeignWeights:
    """What the importer of a source reads.

    Raises:
        ImporterError: no importer accepts it.
    """
    for importer in IMPORTERS.values():
        if importer.accepts(source):
            return importer.read(source, preprocessing)
    raise ImporterError(
        f"unknown source {source!r}: it is not a file, a folder or an id; expected {describe_sources()}"
    )


def _record_of(weights: ForeignWeights, licence: str | None) -> TrainingRecord:
    """What is known of the training: of published weights from their table, of others from the source."""
    published = find_published(weights.name)
    stated = published.licence if published else weights.licence
    return TrainingRecord(
        recipe=f"imported from {weights.name}",
        trained_on=published.trained_on if published else "images that its file does not name",
        licence=licence or stated or "unspecified",
        settings=dict(PUBLISHED_SETTINGS if published else weights.settings),
    )


def _check_finite(tensors: Mapping[str, Tensor], source: str, progress: Progress) -> None:
    broken = []
    with progress(len(tensors), "checking", "tensors") as stage:
        for name, tensor in tensors.items():
            if not torch.isfinite(tensor).all():
                broken.append(name)
            stage.update()
    if broken:
        raise ImporterError(f"{source} has values that are not finite in {shorten(broken)}; nothing was written")


def _own_storage(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors in float32, none sharing memory: a file may hold one tensor under two names, a checkpoint does not."""
    seen: set[int] = set()
    own = {}
    for name, tensor in tensors.items():
        own[name] = tensor.float()
        if own[name].data_ptr() in seen:
            own[name] = own[name].clone()
        seen.add(own[name].data_ptr())
    return own
