"""The folder that fastembed loads: timm's encoder as ONNX, float32 and NCHW, and a processor's settings."""

import json
from pathlib import Path

from models.images.preprocess import Preprocessing

PILLOW_FILTERS = {"bilinear": 2, "bicubic": 3}


def write_fastembed_folder(timm_folder: Path, preprocessing: Preprocessing, out: Path) -> None:
    """Export by torch, with any number of images."""
    import timm
    import torch

    model = timm.create_model(f"local-dir:{timm_folder}", pretrained=True).eval()
    out.mkdir()
    height, width = preprocessing.size
    torch.onnx.export(
        model,
        (torch.zeros(2, preprocessing.channels, height, width),),
        out / "model.onnx",
        input_names=["pixels"],
        output_names=["embedding"],
        dynamic_shapes=({0: torch.export.Dim("B")},),
        dynamo=True,
        external_data=False,
        verbose=False,
    )
    settings = {
        "image_processor_type": "CLIPImageProcessor",
        "do_resize": True,
        "size": {"shortest_edge": int(height / preprocessing.crop)},
        "resample": PILLOW_FILTERS[preprocessing.interpolation],
        "do_center_crop": True,
        "crop_size": {"height": height, "width": width},
        "do_rescale": True,
        "do_normalize": True,
        "image_mean": preprocessing.mean,
        "image_std": preprocessing.std,
    }
    (out / "preprocessor_config.json").write_text(json.dumps(settings))
