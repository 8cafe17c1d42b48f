"""fastembed with a model of its own format: `python -m benchmarks.contestants.bulk_fastembed FOLDER OUT`.

ONNX Runtime in float32, and with `PARALLEL` 0 a process a core, which fastembed's documentation recommends for large datasets.
fastembed has no call that registers an image model, so the description is added to its table; its processes import this module and
add it too.
"""

import os
import sys
from pathlib import Path

import numpy as np
from fastembed import ImageEmbedding
from fastembed.common.model_description import DenseModelDescription, ModelSource
from fastembed.image.onnx_embedding import supported_onnx_models

NAME = "benchmark/encoder"

supported_onnx_models.append(
    DenseModelDescription(
        model=NAME,
        dim=int(os.environ["DIMENSIONS"]),
        description="the encoder of the benchmark",
        license="",
        size_in_GB=0.1,
        sources=ModelSource(hf=NAME),
        model_file="model.onnx",
    )
)


def main() -> None:
    """Embed and save."""
    folder, out = Path(sys.argv[1]), Path(sys.argv[2])
    model = ImageEmbedding(NAME, specific_model_path=os.environ["FASTEMBED_FOLDER"], lazy_load=True)
    paths = [str(path) for path in sorted(folder.glob("*.jpg"))]
    parallel = int(os.environ["PARALLEL"]) if "PARALLEL" in os.environ else None
    np.save(out / "vectors.npy", np.stack(list(model.embed(paths, batch_size=16, parallel=parallel))))


if __name__ == "__main__":
    main()
