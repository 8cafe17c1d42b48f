"""A script around timm and a DataLoader in bfloat16: `python -m benchmarks.contestants.bulk_timm FOLDER OUT`."""

import os
import sys
from pathlib import Path

import numpy as np
import timm
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset


class Photographs(Dataset[torch.Tensor]):
    """The files of a folder."""

    def __init__(self, folder: Path, model: torch.nn.Module) -> None:
        self.paths = sorted(folder.glob("*.jpg"))
        self.transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model))

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> torch.Tensor:
        return self.transform(Image.open(self.paths[index]).convert("RGB"))


def main() -> None:
    """Embed and save."""
    folder, out = Path(sys.argv[1]), Path(sys.argv[2])
    model = timm.create_model(f"local-dir:{os.environ['TIMM_FOLDER']}", pretrained=True).eval().bfloat16()
    loader = DataLoader(Photographs(folder, model), batch_size=32, num_workers=int(os.environ["WORKERS"]))
    with torch.inference_mode():
        vectors = [model(pixels.bfloat16()).float().numpy() for pixels in loader]
    np.save(out / "vectors.npy", np.concatenate(vectors))


if __name__ == "__main__":
    main()
