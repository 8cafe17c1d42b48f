"""Ray Data with timm in bfloat16: `python -m benchmarks.contestants.bulk_raydata FOLDER OUT`.

Images are read and transformed by tasks, and the model is in `ACTORS` actors of one core each.
"""

import os
import sys
from typing import Any

import numpy as np
import ray
import timm
import torch
from PIL import Image


def load() -> torch.nn.Module:
    """The model."""
    return timm.create_model(f"local-dir:{os.environ['TIMM_FOLDER']}", pretrained=True).eval().bfloat16()


class Transform:
    """Rows with an image become rows with pixels; made once a task."""

    def __init__(self) -> None:
        self.transform = timm.data.create_transform(**timm.data.resolve_model_data_config(load()))

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """One image."""
        return {"path": row["path"], "pixels": self.transform(Image.fromarray(row["image"])).numpy()}


class Embed:
    """Batches of pixels become vectors."""

    def __init__(self) -> None:
        self.model = load()

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """One batch."""
        with torch.inference_mode():
            vectors = self.model(torch.from_numpy(batch["pixels"]).bfloat16()).float().numpy()
        return {"path": batch["path"], "embedding": vectors}


def main() -> None:
    """Embed and write Parquet."""
    folder, out = sys.argv[1:3]
    transform = Transform()
    (
        ray.data.read_images(folder, mode="RGB", include_paths=True)
        .map(lambda row: transform(row))
        .map_batches(
            Embed, batch_size=32, num_cpus=1, compute=ray.data.ActorPoolStrategy(size=int(os.environ["ACTORS"]))
        )
        .write_parquet(out)
    )


if __name__ == "__main__":
    main()
