"""The target encoder in other layouts: a folder that timm, transformers or any reader of safetensors loads.

None of them has a place for a predictor.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from safetensors.torch import save_file
from torch import Tensor

from models.bundle.published import page_header
from models.checkpoint.store import Checkpoint, build_empty_model, check_tensors
from models.config import EncoderConfig
from models.errors import ExportError
from models.export.provenance import with_dataset_name
from models.images.preprocess import Preprocessing
from models.importers.tensor_names import to_transformers
from models.io import atomic_directory

PREFIX, WEIGHTS, CARD = "target_encoder.", "model.safetensors", "README.md"
PILLOW_FILTERS = {"bilinear": 2, "bicubic": 3}


class EncoderWeights(NamedTuple):
    """What a format gets: the tensors of the target encoder under timm's names, and what describes them."""

    tensors: dict[str, Tensor]
    config: EncoderConfig
    pixels: Preprocessing
    licence: str


class FormatFiles(NamedTuple):
    """What a format gives: tensors under its names, JSON documents by file name, and Python code that loads the folder `FOLDER`."""

    tensors: dict[str, Tensor]
    documents: dict[str, dict[str, Any]]
    usage: str


def export_format(
    checkpoint: Checkpoint, to: str, out: Path, licence: str | None = None, dataset_name: str | None = None
) -> None:
    """Write a folder in a layout of `FORMATS`, completely or not at all.

    Raises:
        CheckpointError: tensors that do not fit the network.
        ExportError: `out` is not empty, or the layout does not support the network.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ExportError(f"{out} is not empty; use another --out")
    check_tensors(build_empty_model(checkpoint), checkpoint.tensors, str(checkpoint.folder))
    training = with_dataset_name(checkpoint.training, dataset_name)
    tensors = {k.removeprefix(PREFIX): v.contiguous() for k, v in checkpoint.tensors.items() if k.startswith(PREFIX)}
    config, licence = checkpoint.config, licence or training.licence
    files = FORMATS[to](EncoderWeights(tensors, config.encoder, config.pixels, licence))
    with atomic_directory(out) as folder:
        save_file(files.tensors, folder / WEIGHTS, metadata={"format": "pt"})
        for name, document in files.documents.items():
            (folder / name).write_text(json.dumps(document, indent=2) + "\n")
        (folder / CARD).write_text(
            f"{page_header(licence)}# An I-JEPA encoder\n\nThe target encoder of an I-JEPA, "
            f"trained on {training.trained_on}. Licence: {licence}.\n\n"
            f"```python\n{files.usage}```\n"
        )


def to_timm(weights: EncoderWeights) -> FormatFiles:
    """A folder for timm's `local-dir:`. All sizes are arguments of one architecture, so none has to be in timm's list."""
    encoder, pixels = weights.config, weights.pixels
    if encoder.norm_eps != 1e-6:
        raise ExportError(
            f"timm's VisionTransformer has a LayerNorm epsilon of 1e-6, this network has {encoder.norm_eps}; use another --to"
        )
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
            "license": weights.licence,
            "num_classes": 0,
            "first_conv": "patch_embed.proj",
            "classifier": "head",
        },
    }
    usage = 'import timm\n\nmodel = timm.create_model("local-dir:FOLDER", pretrained=True)  # pooled: the mean of all tokens\n'
    return FormatFiles(weights.tensors, {"config.json": config}, usage)


def to_transformers_folder(weights: EncoderWeights) -> FormatFiles:
    """What `IJepaModel.save_pretrained` writes, and an image processor with the mean and std of the training."""
    encoder, pixels = weights.config, weights.pixels
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
    usage = (
        "from transformers import AutoImageProcessor, IJepaModel\n\n"
        'model = IJepaModel.from_pretrained("FOLDER", add_pooling_layer=False)\n'
        'processor = AutoImageProcessor.from_pretrained("FOLDER")  # squashes images; for a centre crop, crop them first\n'
    )
    documents = {"config.json": config, "preprocessor_config.json": processor}
    return FormatFiles(to_transformers(weights.tensors), documents, usage)


def to_safetensors(weights: EncoderWeights) -> FormatFiles:
    """Timm's tensor names, and the network and its preprocessing in JSON."""
    config = {
        "encoder": weights.config.model_dump(mode="json"),
        "pixels": weights.pixels.model_dump(mode="json"),
        "licence": weights.licence,
    }
    usage = (
        'from safetensors.torch import load_file\n\ntensors = load_file("FOLDER/model.safetensors")  # timm\'s names\n'
    )
    return FormatFiles(weights.tensors, {"config.json": config}, usage)


FORMATS: dict[str, Callable[[EncoderWeights], FormatFiles]] = {
    "timm": to_timm,
    "transformers": to_transformers_folder,
    "safetensors": to_safetensors,
}
"""By the name in `--to`."""
