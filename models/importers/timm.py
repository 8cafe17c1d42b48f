"""timm's models, with the weights that timm downloads or torch's cache has: one encoder, and timm's preprocessing of it."""

from typing import Any

from torch import nn

from models.errors import ImporterError
from models.importers.base import (
    EVALUATION,
    ForeignWeights,
    Importer,
    PreprocessingChoice,
    first_line,
    one_encoder,
    trusted_statistics,
)

SCHEME = "timm:"


def read_timm(source: str, preprocessing: PreprocessingChoice) -> ForeignWeights:
    """Read `timm:NAME`, a Vision Transformer of timm with its pretrained weights.

    Raises:
        ImporterError: an unknown name, weights that timm cannot load, or another architecture.
    """
    import timm
    from timm.models.vision_transformer import VisionTransformer

    name = source.removeprefix(SCHEME)
    try:
        model = timm.create_model(name, pretrained=True)
    except Exception as error:  # its own downloads and parsing raise errors of many libraries
        raise ImporterError(f"timm cannot load {name!r} with its weights: {first_line(error)}") from error
    if not isinstance(model, VisionTransformer):
        raise ImporterError(f"timm's {name} is a {type(model).__name__}; expected a VisionTransformer")
    block: Any = model.blocks[0]
    if not isinstance(block.mlp.act, nn.GELU) or block.mlp.act.approximate != "none":
        raise ImporterError(f"timm's {name} has the activation {block.mlp.act}; I-JEPA is defined for exact GELU")
    tensors = {key: tensor for key, tensor in model.state_dict().items() if not key.startswith("head.")}
    given: Any = model.pretrained_cfg
    pixels: dict[str, Any] = EVALUATION | trusted_statistics(given.get("mean"), given.get("std"))
    if preprocessing == "upstream":
        if given.get("crop_mode", "center") not in ("center", "squash"):
            raise ImporterError(f"timm's {name} has the crop mode {given['crop_mode']!r}, which is not supported")
        pixels = {
            "fit": "squash" if given.get("crop_mode") == "squash" else "crop",
            "crop": given["crop_pct"],
            "interpolation": given["interpolation"],
            "whole_pixels": True,
            "mean": given["mean"],
            "std": given["std"],
        }
    notes = (one_encoder("one encoder (Meta's context encoder)"),)
    norm: Any = model.norm
    return ForeignWeights(
        source,
        {"target_encoder": tensors},
        pixels,
        block.attn.num_heads,
        norm.eps,
        given.get("license"),
        notes=notes,
    )


TIMM = Importer("timm:NAME", lambda source: source.startswith(SCHEME), read_timm)
