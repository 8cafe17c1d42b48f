"""Our weights in the layouts of others: a folder that timm, transformers or any reader of safetensors loads as it is.

Only the target encoder goes along: none of these layouts has a place for a predictor.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from models.checkpoint import Checkpoint, check_tensors, licence_of, trained_on, whole_or_part
from models.config import EncoderConfig
from models.convert import to_transformers
from models.errors import ExportError
from models.files import whole_folder
from models.preprocess import PixelRecipe
from models.published import page_header

WEIGHTS = "model.safetensors"
PILLOW_FILTERS = {"bilinear": 2, "bicubic": 3}


def export_format(checkpoint: Checkpoint, to: str, out: Path, licence: str | None = None) -> None:
    """Write a folder in the layout `to`, one of `FORMATS`, whole or not at all.

    Raises:
        CheckpointError: tensors that do not fit the network.
        ExportError: `out` is not empty, or the layout cannot say what this network is.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ExportError(f"{out} is not empty; use another --out")
    check_tensors(whole_or_part(checkpoint), checkpoint.tensors, str(checkpoint.folder))
    prefix = "target_encoder."
    tensors = {k.removeprefix(prefix): v.contiguous() for k, v in checkpoint.tensors.items() if k.startswith(prefix)}
    config, licence = checkpoint.config, licence or licence_of(checkpoint.training)
    renamed, files, loading = FORMATS[to](tensors, config.encoder, config.pixels, licence)
    with whole_folder(out) as folder:
        save_file(renamed, folder / WEIGHTS, metadata={"format": "pt"})
        for name, document in files.items():
            (folder / name).write_text(json.dumps(document, indent=2) + "\n")
        (folder / "README.md").write_text(
            f"{page_header(licence)}# An I-JEPA encoder\n\nThe target encoder of an I-JEPA, "
            f"trained on {trained_on(checkpoint.training)}. Licence: {licence}.\n\n"
            f"```python\n{loading}```\n"
        )


Files = tuple[dict[str, Tensor], dict[str, dict[str, Any]], str]


def _timm(tensors: dict[str, Tensor], encoder: EncoderConfig, pixels: PixelRecipe, licence: str) -> Files:
    """A folder for `local-dir:`. Every size is given as arguments of one architecture, so none has to be in timm's list."""
    if encoder.norm_eps != 1e-6:
        raise ExportError(f"timm's Vision Transformer has a norm epsilon of 1e-6, this network {encoder.norm_eps}")
    height, width = encoder.image_size
    config = {
        "architecture": "vit_base_patch16_224",
        "num_classes": 0,
        "num_features": encoder.width,
        "model_args": {
            "img_size": [height, width],
            "patch_size": encoder.patch_size,
            "in_chans": encoder.channels,
            "embed_dim": encoder.width,
            "depth": encoder.depth,
            "num_heads": encoder.heads,
            "mlp_ratio": encoder.mlp_ratio,
            "class_token": False,
            "global_pool": "avg",
            "fc_norm": False,
        },
        "pretrained_cfg": {
            "input_size": [encoder.channels, height, width],
            "fixed_input_size": True,
            "interpolation": pixels.interpolation,
            "crop_pct": pixels.crop,
            "crop_mode": "squash" if pixels.fit == "squash" else "center",
            "mean": pixels.mean,
            "std": pixels.std,
            "license": licence,
            "num_classes": 0,
            "first_conv": "patch_embed.proj",
            "classifier": "head",
        },
    }
    code = 'import timm\n\nmodel = timm.create_model("local-dir:FOLDER", pretrained=True)  # pooled: the mean of all tokens\n'
    return tensors, {"config.json": config}, code


def _transformers(tensors: dict[str, Tensor], encoder: EncoderConfig, pixels: PixelRecipe, _: str) -> Files:
    """What `IJepaModel.save_pretrained` writes, and an image processor with the statistics of the training."""
    height, width = encoder.image_size
    config = {
        "architectures": ["IJepaModel"],
        "model_type": "ijepa",
        "hidden_size": encoder.width,
        "num_hidden_layers": encoder.depth,
        "num_attention_heads": encoder.heads,
        "intermediate_size": encoder.hidden,
        "hidden_act": "gelu",
        "layer_norm_eps": encoder.norm_eps,
        "image_size": height if height == width else [height, width],
        "patch_size": encoder.patch_size,
        "num_channels": encoder.channels,
        "qkv_bias": True,
        "attention_probs_dropout_prob": 0.0,
        "hidden_dropout_prob": 0.0,
        "dtype": "float32",
    }
    processor = {
        "image_processor_type": "ViTImageProcessor",
        "do_resize": True,
        "size": {"height": height, "width": width},
        "resample": PILLOW_FILTERS[pixels.interpolation],
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": pixels.mean,
        "image_std": pixels.std,
    }
    code = (
        "from transformers import AutoImageProcessor, IJepaModel\n\n"
        'model = IJepaModel.from_pretrained("FOLDER", add_pooling_layer=False)\n'
        'processor = AutoImageProcessor.from_pretrained("FOLDER")  # squashes pictures: crop them first if you want a crop\n'
    )
    return to_transformers(tensors), {"config.json": config, "preprocessor_config.json": processor}, code


def _safetensors(tensors: dict[str, Tensor], encoder: EncoderConfig, pixels: PixelRecipe, licence: str) -> Files:
    """Timm's names, and all that one needs to know in JSON."""
    config = {
        "encoder": encoder.model_dump(mode="json"),
        "pixels": pixels.model_dump(mode="json"),
        "licence": licence,
    }
    code = (
        'from safetensors.torch import load_file\n\ntensors = load_file("FOLDER/model.safetensors")  # timm\'s names\n'
    )
    return tensors, {"config.json": config}, code


FORMATS: dict[str, Callable[[dict[str, Tensor], EncoderConfig, PixelRecipe, str], Files]] = {
    "timm": _timm,
    "transformers": _transformers,
    "safetensors": _safetensors,
}
