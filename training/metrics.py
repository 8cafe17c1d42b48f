"""What a run says of itself: rows for the log sinks, and signals of collapse.

The loss says little (its target moves); rank, spread and skill are the ones to watch.
"""

import csv
import io
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

COLUMNS = (
    "step", "epoch", "images", "loss", "skill", "images_per_s", "lr", "weight_decay", "ema", "feature_std", "rankme",
)  # fmt: skip


def feature_std(features: Float[Tensor, "n D"]) -> float:
    """Mean over dimensions of the deviation over pictures. Towards 0 is collapse to one point."""
    return float(features.std(dim=0).mean())


def rankme(features: Float[Tensor, "n D"]) -> float:
    """The effective number of dimensions: the exponential of the entropy of the singular values (RankMe, arXiv 2210.02885).

    At most min(n, D). Towards 1 is collapse to a line.
    """
    values = torch.linalg.svdvals(features.cpu().double())
    p = values / values.sum().clamp_min(1e-12) + 1e-7
    return float(torch.exp(-(p * p.log()).sum()))


@runtime_checkable
class Sink(Protocol):
    """Somewhere that rows go."""

    def write(self, row: dict[str, float]) -> None: ...

    def close(self) -> None: ...


class CsvSink:
    """`log.csv`. Opened again, it keeps the rows up to the step from which the run goes on."""

    def __init__(self, path: Path, resume_step: int) -> None:
        kept = []
        if path.exists():
            with path.open(newline="") as file:
                kept = [row for row in csv.DictReader(file) if row["step"] and int(row["step"]) <= resume_step]
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, COLUMNS, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(kept)
        temporary = path.with_suffix(".tmp")
        temporary.write_text(text.getvalue())
        temporary.replace(path)
        self._file = path.open("a", newline="")
        self._writer = csv.DictWriter(self._file, COLUMNS, lineterminator="\n")

    def write(self, row: dict[str, float]) -> None:
        self._writer.writerow(
            {name: f"{value:.6g}" if isinstance(value, float) else value for name, value in row.items()}
        )
        self._file.flush()

    def close(self) -> None:
        self._file.close()


class TensorBoardSink:
    """TensorBoard events; rows after the step from which a run goes on are hidden (`purge_step`)."""

    def __init__(self, folder: Path, resume_step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(folder), purge_step=resume_step + 1 if resume_step else None)

    def write(self, row: dict[str, float]) -> None:
        for name, value in row.items():
            if name != "step":
                self._writer.add_scalar(name, value, int(row["step"]))

    def close(self) -> None:
        self._writer.close()
