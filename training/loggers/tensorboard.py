"""TensorBoard events."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from training.families import MemberSettings


class TensorBoardSettings(MemberSettings):
    """It has none."""

    name: Literal["tensorboard"] = "tensorboard"


class TensorBoardLogger:
    """A scalar for each column, in the folder `tensorboard` of the run. Dropped rows are hidden (`purge_step`)."""

    settings = TensorBoardSettings

    def __init__(
        self,
        config: TensorBoardSettings,  # noqa: ARG002
        folder: Path,
        resume_step: int,
        columns: Sequence[str],
    ) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.columns = [name for name in columns if name != "step"]
        self._writer = SummaryWriter(str(folder / "tensorboard"), purge_step=resume_step + 1 if resume_step else None)

    def write(self, row: dict[str, float]) -> None:
        """See `Logger.write`."""
        for name in self.columns:
            self._writer.add_scalar(name, row[name], int(row["step"]))

    def close(self) -> None:
        """See `Logger.close`."""
        self._writer.close()
