"""FastAPI around timm as people write it: an uploaded file, one image an inference.

`/embed` is a plain function, which FastAPI runs in its thread pool; `/embed-async` is a coroutine that computes in the event loop, the
form that most tutorials show. Started with `uvicorn benchmarks.contestants.fastapi_timm:app`.
"""

import os
from typing import BinaryIO

import timm
import torch
from fastapi import FastAPI, UploadFile
from PIL import Image

PRECISION = getattr(torch, os.environ["PRECISION"])

app = FastAPI()
model = timm.create_model(f"local-dir:{os.environ['TIMM_FOLDER']}", pretrained=True).eval().to(PRECISION)
transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model))


def infer(file: BinaryIO) -> dict[str, list[float]]:
    """One image through the model."""
    pixels = transform(Image.open(file).convert("RGB")).unsqueeze(0).to(PRECISION)
    with torch.inference_mode():
        return {"embedding": model(pixels)[0].float().tolist()}


@app.post("/embed")
def embed(file: UploadFile) -> dict[str, list[float]]:
    """In a thread of the pool (40 threads)."""
    return infer(file.file)


@app.post("/embed-async")
async def embed_async(file: UploadFile) -> dict[str, list[float]]:
    """In the event loop: one request after another."""
    return infer(file.file)
