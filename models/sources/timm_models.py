"""timm's models, with the weights that timm fetches or torch's cache has: one encoder, and the preprocessing of its list."""

from typing import Any

from torch import nn

from models.errors import SourceError
from models.sources.reading import EVALUATION, Preprocessing, Read, believed, first_line, one_encoder

TIMM = "timm:"


def read_timm(name: str, preprocessing: Preprocessing) -> Read:
    """A model of timm's, with its published weights (fetched, or from torch's cache)."""
    import timm
    from timm.models.vision_transformer import VisionTransformer

    try:
        model = timm.create_model(name, pretrained=True)
    except (RuntimeError, OSError, ValueError) as error:
        raise SourceError(f"timm cannot give {name!r} with its weights: {first_line(error)}") from error
    if not isinstance(model, VisionTransformer):
        raise SourceError(f"timm's {name} is a {type(model).__name__}; expected a VisionTransformer")
    block: Any = model.blocks[0]
    if not isinstance(block.mlp.act, nn.GELU) or block.mlp.act.approximate != "none":
        raise SourceError(f"timm's {name} has the activation {block.mlp.act}; I-JEPA is defined for exact GELU")
    tensors = {key: tensor for key, tensor in model.state_dict().items() if not key.startswith("head.")}
    given: Any = model.pretrained_cfg
    pixels: dict[str, Any] = EVALUATION | believed(given.get("mean"), given.get("std"))
    if preprocessing == "upstream":
        if given.get("crop_mode", "center") not in ("center", "squash"):
            raise SourceError(f"timm's {name} crops by {given['crop_mode']!r}, which no pixel recipe can say")
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
    return Read(
        f"{TIMM}{name}",
        {"target_encoder": tensors},
        pixels,
        block.attn.num_heads,
        norm.eps,
        given.get("license"),
        notes=notes,
    )
