"""BentoML around timm, with adaptive batching. Started with `bentoml serve benchmarks.contestants.bentoml_timm:Embed`."""

import os

import bentoml
import numpy as np
import timm
import torch
from PIL.Image import Image

PRECISION = getattr(torch, os.environ["PRECISION"])


@bentoml.service(workers=1, traffic={"timeout": 120})
class Embed:
    """One worker that has all cores."""

    def __init__(self) -> None:
        self.model = timm.create_model(f"local-dir:{os.environ['TIMM_FOLDER']}", pretrained=True).eval().to(PRECISION)
        self.transform = timm.data.create_transform(**timm.data.resolve_model_data_config(self.model))

    @bentoml.api(batchable=True, max_batch_size=int(os.environ["BATCH"]), max_latency_ms=60_000)
    def embed(self, images: list[Image]) -> np.ndarray:
        """The vectors of the images of several requests."""
        pixels = torch.stack([self.transform(image.convert("RGB")) for image in images]).to(PRECISION)
        with torch.inference_mode():
            return self.model(pixels).float().numpy()
