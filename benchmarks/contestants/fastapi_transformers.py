"""FastAPI around transformers' pipeline for image features. Started with `uvicorn benchmarks.contestants.fastapi_transformers:app`."""

import os

import torch
from fastapi import FastAPI, UploadFile
from PIL import Image
from transformers import pipeline

CROP = float(os.environ["CROP"])

app = FastAPI()
extractor = pipeline(
    "image-feature-extraction",
    model=os.environ["TRANSFORMERS_FOLDER"],
    dtype=getattr(torch, os.environ["PRECISION"]),
    device="cpu",
)


@app.post("/embed")
def embed(file: UploadFile) -> dict[str, list[float]]:
    """The mean of the tokens. The pipeline's processor squashes, so the centre is cropped before."""
    image = Image.open(file.file).convert("RGB")
    side = min(image.size) * CROP
    left, top = (image.width - side) / 2, (image.height - side) / 2
    centre = image.crop((round(left), round(top), round(left + side), round(top + side)))
    return {"embedding": extractor(centre, return_tensors=True)[0].float().mean(0).tolist()}
