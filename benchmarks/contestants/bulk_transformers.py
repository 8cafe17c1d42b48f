"""transformers' pipeline over a dataset, in bfloat16: `python -m benchmarks.contestants.bulk_transformers FOLDER OUT`."""

import os
import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.utils.data import Dataset
from transformers import pipeline

CROP = float(os.environ["CROP"])


class Photographs(Dataset[Image.Image]):
    """The centres of the images of a folder: the pipeline's processor squashes."""

    def __init__(self, folder: Path) -> None:
        self.paths = sorted(folder.glob("*.jpg"))

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Image.Image:
        image = Image.open(self.paths[index]).convert("RGB")
        side = min(image.size) * CROP
        left, top = (image.width - side) / 2, (image.height - side) / 2
        return image.crop((round(left), round(top), round(left + side), round(top + side)))


def main() -> None:
    """Embed and save."""
    folder, out = Path(sys.argv[1]), Path(sys.argv[2])
    extractor = pipeline(
        "image-feature-extraction", model=os.environ["TRANSFORMERS_FOLDER"], dtype=torch.bfloat16, device="cpu"
    )
    outputs = extractor(Photographs(folder), batch_size=32, num_workers=int(os.environ["WORKERS"]), return_tensors=True)
    np.save(out / "vectors.npy", np.stack([tokens[0].float().mean(0).numpy() for tokens in outputs]))


if __name__ == "__main__":
    main()
