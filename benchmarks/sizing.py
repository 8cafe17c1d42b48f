"""What each published size costs: parameters, disk, GFLOP an image. Calculated from the networks, nothing is run.

.venv/bin/python -m benchmarks.sizing
"""

import sys
from collections.abc import Callable

import torch
from torch.utils.flop_counter import FlopCounterMode

from models.config import model_of_size
from models.images.preprocess import Preprocessing
from models.network.ijepa import IJEPA

PUBLISHED = (
    ("B/16", "base", 16, 224),
    ("L/16", "large", 16, 224),
    ("H/14", "huge", 14, 224),
    ("H/16, 448 px", "huge", 16, 448),
    ("g/16", "giant", 16, 224),
)
TARGET = 1 / 6
"""Share of the patches in the region of a prediction."""


def main() -> None:
    """Print the table."""
    print(
        "| size | patches | encoder, M parameters | predictor | bundle, GB | encoder alone | GFLOP, embedding | prediction |"
    )
    print(f"|{'---|' * 8}")
    for row in PUBLISHED:
        print(f"| {' | '.join(costs(*row))} |")
    print(
        "a prediction is of one region of a sixth of the patches; a multiplication and an addition are 2 FLOP",
        file=sys.stderr,
    )


def costs(name: str, size: str, patch: int, side: int) -> list[str]:
    """The cells of one row."""
    config = model_of_size(size, patch_size=patch, pixels=Preprocessing(size=(side, side)))
    patches = config.encoder.patches
    hidden = round(patches * TARGET)
    with torch.device("meta"):
        model = IJEPA(config).eval()
        pixels, ids = torch.zeros(1, 3, side, side), torch.zeros(1, patches, dtype=torch.int64)
        context, target = ids[:, hidden:], ids[:, None, :hidden]
        embedding = gflop(lambda: model.target_encoder(pixels))
        prediction = gflop(lambda: model.predict(model.encode_context(pixels, context), context, target))
    encoder, predictor = (sum(p.numel() for p in part.parameters()) for part in (model.target_encoder, model.predictor))
    return [
        name,
        str(patches),
        f"{encoder / 1e6:.1f}",
        f"{predictor / 1e6:.1f}",
        f"{4 * (2 * encoder + predictor) / 1e9:.2f}",
        f"{4 * encoder / 1e9:.2f}",
        f"{embedding:.0f}",
        f"{embedding + prediction:.0f}",
    ]


def gflop(run: Callable[[], object]) -> float:
    """What torch counts."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops() / 1e9


if __name__ == "__main__":
    main()
