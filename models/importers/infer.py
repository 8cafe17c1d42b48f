"""The architecture of imported weights, from the shapes of their tensors and what the source states."""

import math
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import ValidationError
from torch import Tensor

from models.config import SIZES, EncoderConfig, ModelConfig, PredictorConfig
from models.errors import ImporterError, validation_sentence
from models.images.preprocess import Preprocessing
from models.importers.base import ForeignWeights, shorten
from models.importers.tensor_names import count_blocks

_Record = TypeVar("_Record", EncoderConfig, PredictorConfig, Preprocessing, ModelConfig)


def infer_config(weights: ForeignWeights, heads: int | None) -> ModelConfig:
    """The configuration of the network. `heads` replaces what the source states and the check against the table of sizes.

    Raises:
        ImporterError: tensors that are not an I-JEPA's, an unknown number of heads, or depths that are not in the table.
    """
    encoder = _encoder_config(weights, heads)
    predictor = None
    if "predictor" in weights.parts:
        tensors = weights.parts["predictor"]
        width = _shape(tensors, "embed.weight", 2, weights.name)[0]
        depth = count_blocks(tensors)
        predictor = _validated(PredictorConfig, weights.name, width=width, depth=depth, heads=encoder.heads)
    if heads is None:
        _check_depths(weights.name, encoder, predictor)
    statistics = {} if encoder.channels == 3 else {"mean": (0.5,), "std": (0.5,)}
    fields = {"size": encoder.image_size, "channels": encoder.channels, **statistics, **weights.preprocessing}
    pixels = _validated(Preprocessing, f"the preprocessing of {weights.name}", **fields)
    return _validated(ModelConfig, weights.name, encoder=encoder, predictor=predictor, pixels=pixels)


def heads_note(weights: ForeignWeights, heads: int, option: int | None) -> str:
    """Where the number of heads comes from."""
    if option:
        return f"{heads} heads, from --heads"
    if weights.heads:
        return f"{heads} heads, from its configuration"
    return f"{heads} heads, from the table of sizes by width"


def _encoder_config(weights: ForeignWeights, heads: int | None) -> EncoderConfig:
    tensors, name = weights.parts["target_encoder"], weights.name
    _, patches, width = _shape(tensors, "pos_embed", 3, name)
    _, channels, patch, _ = _shape(tensors, "patch_embed.proj.weight", 4, name)
    hidden, _ = _shape(tensors, "blocks.0.mlp.fc1.weight", 2, name)
    side = math.isqrt(patches)
    if side * side != patches:
        raise ImporterError(
            f"{name} has {patches} positions, which is not a square grid (a class token would be one more)"
        )
    return _validated(
        EncoderConfig,
        name,
        width=width,
        depth=count_blocks(tensors),
        heads=heads or _heads_of(weights, width),
        hidden=hidden,
        patch_size=patch,
        grid=(side, side),
        channels=channels,
        norm_eps=weights.norm_eps,
    )


def _heads_of(weights: ForeignWeights, width: int) -> int:
    """The number of heads, which no tensor's shape tells: what the source states, or the table of sizes by width."""
    table = next((size.heads for size in SIZES.values() if size.width == width), None)
    if weights.heads and table and weights.heads != table:
        raise ImporterError(
            f"{weights.name} states {weights.heads} heads, an I-JEPA of width {width} has {table}: choose with --heads"
        )
    heads = weights.heads or table
    if heads is None:
        known = ", ".join(str(size.width) for size in SIZES.values())
        raise ImporterError(
            f"{weights.name} has width {width}, which is not in the table of sizes ({known}), and does not state its number of "
            "heads: give it with --heads"
        )
    return heads


def _check_depths(name: str, encoder: EncoderConfig, predictor: PredictorConfig | None) -> None:
    """Compare the depths with the table of sizes, where it has the width: a file cut to fewer blocks looks complete otherwise."""
    rows = {key: size for key, size in SIZES.items() if size.width == encoder.width}
    depths = (encoder.depth, predictor.depth if predictor else None)
    if not rows or any(
        size.depth == encoder.depth and depths[1] in (None, size.predictor_depth) for size in rows.values()
    ):
        return
    expected = " or ".join(f"{size.depth} and {size.predictor_depth} ({key})" for key, size in rows.items())
    raise ImporterError(
        f"{name} has width {encoder.width} and {depths[0]} blocks"
        + (f", its predictor {depths[1]}" if depths[1] else "")
        + f"; the table of sizes has {expected}. Blocks are missing, or it is another network: then give its heads with --heads"
    )


def _shape(tensors: Mapping[str, Tensor], name: str, dims: int, source: str) -> tuple[int, ...]:
    """The shape of a tensor that every I-JEPA has."""
    if name not in tensors:
        raise ImporterError(f"{source} is not an I-JEPA: it has no tensor {name}; it has {shorten(tensors)}")
    if tensors[name].ndim != dims:
        raise ImporterError(
            f"{source} is not an I-JEPA: {name} has shape {list(tensors[name].shape)}, expected {dims} axes"
        )
    return tuple(tensors[name].shape)


def _validated(kind: type[_Record], source: str, **fields: Any) -> _Record:
    try:
        return kind(**fields)
    except ValidationError as error:
        raise ImporterError(f"{source} cannot be used: {validation_sentence(error)}") from error
