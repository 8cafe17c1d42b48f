"""Foreign weights as a checkpoint of ours: Meta's `.pth.tar`, a transformers `IJepaModel`, a timm model. No code in a file is run.

A reader (a file each) gives tensors under our names and what the source says of itself; here both are checked, whatever the source.
"""

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import torch
from pydantic import ValidationError
from torch import Tensor

from models.checkpoint import check_tensors
from models.config import SIZES, EncoderConfig, ModelConfig, PredictorConfig
from models.convert import count_blocks, with_prefix
from models.errors import SourceError
from models.ijepa import IJEPA, PARTS
from models.preprocess import PixelRecipe
from models.progress import progress
from models.published import SETTINGS, find_published
from models.sources.huggingface import read_folder, read_hub
from models.sources.meta import read_meta
from models.sources.reading import Preprocessing, Read, few
from models.sources.timm_models import TIMM, read_timm

_Part = TypeVar("_Part", EncoderConfig, PredictorConfig, PixelRecipe)


class Imported(NamedTuple):
    """A network as read: its tensors under our names, what `training` of a checkpoint says of it, and what to tell the user."""

    config: ModelConfig
    tensors: dict[str, Tensor]
    training: dict[str, Any]
    notes: tuple[str, ...]


def import_source(
    source: str, heads: int | None = None, preprocessing: Preprocessing = "trained", licence: str | None = None
) -> Imported:
    """Read a source whole and check every tensor.

    `heads` is for networks that the table of sizes does not have, and says so for those that only look as if it had them.
    `preprocessing` is what the network was trained and evaluated with, or what the source's own processor does.

    Raises:
        SourceError: nothing known, cut short, with code inside, of another network, or with numbers that are not finite.
    """
    read = _read(source, preprocessing)
    encoder = _encoder_config(read, heads)
    predictor = None
    if "predictor" in read.parts:
        tensors = read.parts["predictor"]
        width = _shape(tensors, "embed.weight", 2, read.name)[0]
        predictor = _checked(PredictorConfig, read.name, width=width, depth=count_blocks(tensors), heads=encoder.heads)
    if heads is None:
        _check_size(read.name, encoder, predictor)
    statistics = {} if encoder.channels == 3 else {"mean": (0.5,), "std": (0.5,)}
    given = {"size": encoder.image_size, "channels": encoder.channels, **statistics, **read.pixels}
    pixels = _checked(PixelRecipe, f"the preprocessing of {read.name}", **given)
    config = ModelConfig(encoder=encoder, predictor=predictor, pixels=pixels)
    tensors = {
        name: tensor for part in PARTS for name, tensor in with_prefix(read.parts.get(part, {}), f"{part}.").items()
    }
    with torch.device("meta"):
        network = IJEPA(config, [part for part in PARTS if part not in read.parts])
    check_tensors(network, tensors, read.name)
    _check_finite(tensors, read.name)
    published = find_published(read.name)
    training = {
        "recipe": f"imported from {read.name}",
        "trained_on": published.trained_on if published else "pictures that its file does not name",
        "licence": licence or (published and published.licence) or read.licence or "unspecified",
        "settings": dict(SETTINGS if published else read.settings),
    }
    notes = (_heads_note(encoder.heads, heads, read.heads), *_missing_note(read), *read.notes)
    return Imported(config, _own_storage(tensors), training, notes)


def _read(source: str, preprocessing: Preprocessing) -> Read:
    path = Path(source)
    if source.startswith(TIMM):
        return read_timm(source.removeprefix(TIMM), preprocessing)
    if path.is_file():
        return read_meta(path, preprocessing)
    if path.is_dir():
        return read_folder(path, path.resolve().name, preprocessing)
    if re.fullmatch(r"[\w-][\w.-]*/[\w.-]+", source):
        return read_hub(source, preprocessing)
    raise SourceError(
        f"{source!r} is no file, no folder and no id; give Meta's .pth.tar, a folder or Hugging Face id (owner/name) of an "
        "IJepaModel, or timm:NAME"
    )


def _encoder_config(read: Read, heads: int | None) -> EncoderConfig:
    """What the shapes say of an encoder. Heads have no shape: from the flag, from the source, or from the table by width."""
    tensors = read.parts["target_encoder"]
    _, patches, width = _shape(tensors, "pos_embed", 3, read.name)
    _, channels, patch, _ = _shape(tensors, "patch_embed.proj.weight", 4, read.name)
    hidden, _ = _shape(tensors, "blocks.0.mlp.fc1.weight", 2, read.name)
    side = math.isqrt(patches)
    if side * side != patches:
        raise SourceError(
            f"{read.name} has {patches} positions, which is no square grid (a class token would be one more)"
        )
    table = next((size.heads for size in SIZES.values() if size.width == width), None)
    if heads is None and read.heads and table and read.heads != table:
        raise SourceError(
            f"{read.name} says {read.heads} heads, an I-JEPA of width {width} has {table}: say which with --heads"
        )
    chosen = heads or read.heads or table
    if chosen is None:
        raise SourceError(
            f"{read.name} is {width} wide, which no size in the table is ({', '.join(str(s.width) for s in SIZES.values())}), "
            "and holds no number of heads: say it with --heads"
        )
    return _checked(
        EncoderConfig,
        read.name,
        width=width,
        depth=count_blocks(tensors),
        heads=chosen,
        hidden=hidden,
        patch_size=patch,
        grid=(side, side),
        channels=channels,
        norm_eps=read.norm_eps,
    )


def _check_size(name: str, encoder: EncoderConfig, predictor: PredictorConfig | None) -> None:
    """A file cut to fewer blocks looks whole but for the table: where the width is in it, so must be the depths."""
    rows = {key: size for key, size in SIZES.items() if size.width == encoder.width}
    given = (encoder.depth, predictor and predictor.depth)
    fitting = [size for size in rows.values() if size.depth == given[0] and given[1] in (None, size.predictor_depth)]
    if rows and not fitting:
        expected = " or ".join(f"{size.depth} and {size.predictor_depth} ({key})" for key, size in rows.items())
        raise SourceError(
            f"{name} is {encoder.width} wide and has {given[0]} blocks"
            + (f", its predictor {given[1]}" if given[1] else "")
            + f"; the table of sizes has {expected}. Blocks are missing, or it is another network: then say its heads with --heads"
        )


def _check_finite(tensors: Mapping[str, Tensor], source: str) -> None:
    """A NaN or an infinity in weights would be one in every answer."""
    broken = []
    with progress(len(tensors), "checking", "tensors") as bar:
        for name, tensor in tensors.items():
            if not torch.isfinite(tensor).all():
                broken.append(name)
            bar.update()
    if broken:
        raise SourceError(f"{source} has numbers that are not finite in {few(broken)}; nothing was written")


def _shape(tensors: Mapping[str, Tensor], name: str, dims: int, source: str) -> tuple[int, ...]:
    """The shape of a tensor that every network of the kind has."""
    if name not in tensors:
        raise SourceError(f"{source} is no I-JEPA: it lacks {name}; it has {few(tensors)}")
    if tensors[name].ndim != dims:
        raise SourceError(f"{source} is no I-JEPA: {name} has shape {list(tensors[name].shape)}, expected {dims} axes")
    return tuple(tensors[name].shape)


def _checked(kind: type[_Part], source: str, **fields: Any) -> _Part:
    try:
        return kind(**fields)
    except ValidationError as error:
        first = error.errors()[0]
        where = f" ({'.'.join(map(str, first['loc']))})" if first["loc"] else ""
        raise SourceError(f"{source} cannot be used: {first['msg'].removeprefix('Value error, ')}{where}") from error


def _own_storage(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """In float32, each with memory of its own: a file may hold one tensor under two names, which a checkpoint does not."""
    seen: set[int] = set()
    own = {}
    for name, tensor in tensors.items():
        own[name] = tensor.float()
        if own[name].data_ptr() in seen:
            own[name] = own[name].clone()
        seen.add(own[name].data_ptr())
    return own


def _missing_note(read: Read) -> list[str]:
    absent = [part for part in PARTS if part not in read.parts]
    return [f"without {' and '.join(absent)} it can encode, not predict"] if absent else []


def _heads_note(heads: int, flag: int | None, stated: int | None) -> str:
    origin = (
        "as --heads says" if flag else "as its configuration says" if stated else "from the table of sizes, by width"
    )
    return f"{heads} heads, {origin}"
