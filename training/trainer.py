"""The loop: resume, step, log, checkpoint."""

import json
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from safetensors.torch import load_file
from torch import Tensor

from models.checkpoint import (
    LATEST,
    Checkpoint,
    find_checkpoint,
    load_strictly,
    point_latest,
    read_checkpoint,
    step_folder,
    write_checkpoint,
)
from models.encoder import normalise
from models.errors import CheckpointError, ConfigError, IJEPAError
from models.files import write_whole
from models.ijepa import IJEPA
from models.preprocess import to_pixels
from models.progress import progress
from training.config import RunConfig, differences
from training.data import Batch, Batches, open_source
from training.masking import make_masking
from training.metrics import CsvSink, Sink, TensorBoardSink, feature_std, rankme
from training.objectives import make_distance
from training.optim import make_optimizer
from training.schedules import rates_at
from training.step import StepResult, train_step

WATCHED = 1024
"""Pictures whose features tell of collapse, the first of the source."""


class TrainingError(IJEPAError):
    """A run that cannot go on."""


class Preempted(Exception):
    """The run was told to stop, and saved first."""


class Trainer:
    """One run in one folder. Made again with the same settings, it goes on where the folder's latest checkpoint is."""

    def __init__(self, config: RunConfig, out: Path, resume: Path | None = None, recipe: str = "none") -> None:
        if config.run.threads:
            torch.set_num_threads(config.run.threads)
        self.config, self.out, self.recipe = config, out, recipe
        self.device = pick_device(config.run.device)
        self.source = open_source(config.data.uri)
        network = config.network.build()
        self.masking = make_masking(config.masking, network.encoder.grid, config.seed)
        self.batches = Batches(self.source, config.data, network.pixels, config.optim.batch_size, config.seed)
        self.distance = make_distance(config.objective)
        torch.manual_seed(config.seed)
        self.model = IJEPA(network).to(self.device)
        if config.run.compile:
            for part in (self.model.context_encoder, self.model.target_encoder, self.model.predictor):
                part.compile(dynamic=False)
        self.optimizer = make_optimizer(self.model, config.optim)
        self.steps = max(1, round(config.optim.epochs * self.batches.per_epoch))
        self.warmup = round(config.optim.warmup * self.batches.per_epoch)
        self.step = 0
        if resume is not None:
            self._restore(resume)
        out.mkdir(parents=True, exist_ok=True)

    def run(self) -> Path:
        """Train to the end; returns the folder of the last checkpoint.

        Raises:
            TrainingError: the loss is no longer finite.
            Preempted: SIGTERM came; the last step is saved.
            KeyboardInterrupt: likewise, for SIGINT.
        """
        write_whole(self.out / "config.json", self.config.model_dump_json(indent=2) + "\n")
        sinks = self._open_sinks()
        batches = self.batches.stream(self.step, self.steps, self.config.run.workers)
        with stop_signals() as stop, progress(self.steps, "training", "steps", self.step) as bar:
            since, at = time.perf_counter(), self.step
            for batch in batches:
                result = self._step(batch)
                bar.update()
                if self.step % self.config.run.log_every == 0 or self.step == self.steps:
                    row = self._row(batch, result, (self.step - at) / (time.perf_counter() - since))
                    for sink in sinks:
                        sink.write(row)
                    bar.set_postfix(loss=f"{row['loss']:.4f}", rankme=f"{row['rankme']:.1f}", refresh=False)
                    since, at = time.perf_counter(), self.step
                if self.step % self.config.run.checkpoint_every == 0 or self.step == self.steps or stop:
                    self._save(result)
                if stop:
                    raise KeyboardInterrupt if stop[0] == signal.SIGINT else Preempted
        for sink in sinks:
            sink.close()
        return step_folder(self.out, self.step)

    def start_from(self, checkpoint: Checkpoint) -> None:
        """Take the weights of a checkpoint and nothing else.

        Raises:
            CheckpointError: they do not fit this run's network.
        """
        load_strictly(self.model, checkpoint.tensors, str(checkpoint.folder))

    def summary(self) -> str:
        """One line that says what is about to happen."""
        learning = sum(p.numel() for p in self.model.parameters() if p.requires_grad)
        return (
            f"{self.source.description}; {learning / 1e6:.2f} M learning parameters on {self.device}; "
            f"steps {self.step} to {self.steps} of {self.config.optim.batch_size} pictures, into {self.out}"
        )

    def _step(self, batch: Batch) -> StepResult:
        """Batch to masks to step."""
        masks = self.masking.draw(self.step, batch.epoch, batch.samples)
        rates = rates_at(self.step, self.steps, self.warmup, self.config.optim)
        pixels, context, targets = (
            torch.from_numpy(array).to(self.device) for array in (batch.pixels, masks.context, masks.targets)
        )
        result = train_step(
            self.model, self.optimizer, self.distance, pixels, context, targets, rates, self._autocast()
        )
        self.step += 1
        return result

    def _autocast(self) -> AbstractContextManager[Any]:
        if self.config.optim.precision == "float32":
            return nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)

    def _row(self, batch: Batch, result: StepResult, steps_per_s: float) -> dict[str, float]:
        """What the log says of the step just done."""
        features = self._watched_features()
        rates = rates_at(self.step - 1, self.steps, self.warmup, self.config.optim)
        size = self.config.optim.batch_size
        return {
            "step": self.step,
            "epoch": batch.epoch,
            "images": self.step * size,
            "loss": self._finite(result),
            "skill": float(result.skill),
            "images_per_s": steps_per_s * size,
            "lr": rates.lr,
            "weight_decay": rates.weight_decay,
            "ema": rates.ema,
            "feature_std": feature_std(features),
            "rankme": rankme(features),
        }

    @torch.no_grad()
    def _watched_features(self) -> Float[Tensor, "n D"]:
        """Mean-pooled target-encoder features of the first pictures, uncropped."""
        recipe = self.model.config.pixels
        if not hasattr(self, "_watched"):
            count = min(WATCHED, len(self.source))
            self._watched = torch.from_numpy(np.stack([to_pixels(self.source.open(i), recipe) for i in range(count)]))
        with self._autocast():
            parts = [
                self.model.target_encoder(normalise(part.to(self.device), recipe)).float().mean(dim=1)
                for part in torch.split(self._watched, 256)
            ]
        return torch.cat(parts)

    def _finite(self, result: StepResult) -> float:
        loss = float(result.loss)
        if not np.isfinite(loss):
            latest = self.out / LATEST
            kept = latest.read_text().strip() if latest.exists() else "none"
            raise TrainingError(
                f"the loss is {loss} at step {self.step}; the newest checkpoint from before is {kept}; "
                "try a lower optim.lr or optim.precision=float32"
            )
        return loss

    def _save(self, result: StepResult) -> None:
        """Write this step's checkpoint, name it the latest, delete those that are too old. A broken step is never saved."""
        self._finite(result)
        folder = step_folder(self.out, self.step)
        names = {id(p): name for name, p in self.model.named_parameters()}
        optimizer = {
            f"{names[id(p)]}:{key}": value.cpu()
            for p, state in self.optimizer.state.items()
            for key, value in state.items()
        }
        tensors = {name: tensor.cpu() for name, tensor in self.model.state_dict().items()}
        training = {
            "recipe": self.recipe,
            "trained_on": self.source.description,
            "step": self.step,
            "steps": self.steps,
            "settings": self.config.result_half(),
        }
        write_checkpoint(folder, self.model.config, tensors, training, optimizer, {"step": self.step})
        point_latest(self.out, folder)
        steps = sorted(self.out.glob("step-*"))
        for old in steps[: -self.config.run.keep]:
            shutil.rmtree(old)

    def _restore(self, path: Path) -> None:
        """Take up weights, optimizer and step of a checkpoint of this very run.

        Raises:
            ConfigError: the settings that change results differ from those it was made with.
            CheckpointError: a missing or broken file.
        """
        checkpoint = read_checkpoint(path)
        if changed := differences(checkpoint.training["settings"], self.config.result_half()):
            raise ConfigError(
                f"{checkpoint.folder.parent} was made with other settings: {'; '.join(changed)}; "
                "use those, or another --out, or --resume never to start anew"
            )
        load_strictly(self.model, checkpoint.tensors, str(checkpoint.folder))
        try:
            saved = load_file(checkpoint.folder / "optimizer.safetensors", device=str(self.device))
            self.step = json.loads((checkpoint.folder / "state.json").read_text())["step"]
        except (OSError, ValueError, KeyError) as error:
            raise CheckpointError(f"{checkpoint.folder} cannot be resumed: {error}") from error
        parameters = dict(self.model.named_parameters())
        for key, value in saved.items():
            name, _, field = key.partition(":")
            self.optimizer.state[parameters[name]][field] = value

    def _open_sinks(self) -> list[Sink]:
        sinks: list[Sink] = [CsvSink(self.out / "log.csv", self.step)]
        if self.config.run.tensorboard:
            sinks.append(TensorBoardSink(self.out / "tensorboard", self.step))
        return sinks


def find_resume(mode: str, out: Path) -> Path | None:
    """What `--resume` means: `auto` the run in `out` if there is one, `never` nothing, else a checkpoint or run.

    Raises:
        CheckpointError: a path that is no checkpoint.
    """
    if mode == "never":
        return None
    if mode == "auto":
        return find_checkpoint(out) if (out / LATEST).exists() else None
    return find_checkpoint(Path(mode))


def pick_device(name: str) -> torch.device:
    """`auto` is the first CUDA device, else Apple's, else the CPU.

    Raises:
        ConfigError: a device that this machine does not have.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(
            f"run.device={name!r} cannot be used here ({str(error).splitlines()[0]}); try run.device=cpu"
        ) from error
    return device


@contextmanager
def stop_signals() -> Iterator[list[int]]:
    """A list that gets the number of a SIGTERM or SIGINT, so that the step under way can end. A second one stops at once."""
    received: list[int] = []

    def note(number: int, _: FrameType | None) -> None:
        if received:
            raise KeyboardInterrupt
        received.append(number)

    previous = {number: signal.signal(number, note) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield received
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
