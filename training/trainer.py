"""The loop: resume, step, log, checkpoint."""

import json
import os
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
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from models.checkpoint import (
    LATEST,
    RUN_LOG,
    WEIGHTS,
    Checkpoint,
    find_checkpoint,
    licence_of,
    load_strictly,
    point_latest,
    read_checkpoint,
    step_folder,
    trained_on,
    write_checkpoint,
)
from models.encoder import normalise
from models.errors import CheckpointError, ConfigError, IJEPAError
from models.files import sha256_of, write_whole
from models.ijepa import IJEPA
from models.preprocess import to_pixels
from models.progress import progress
from training.config import RunConfig, differences
from training.data import Batch, Batches, open_or_next, open_source
from training.masking import make_masking
from training.metrics import CsvSink, Sink, TensorBoardSink, feature_std, rankme
from training.objectives import make_distance
from training.optim import make_optimizer
from training.schedules import rates_at
from training.step import StepResult, train_step

WATCHED = 1024
"""Pictures whose features tell of collapse."""


class TrainingError(IJEPAError):
    """A run that cannot go on."""


class Preempted(Exception):
    """The run was told to stop, and saved first."""


class Trainer:
    """One run in one folder. Made again with the same settings, it goes on where the folder's latest checkpoint is."""

    def __init__(
        self,
        config: RunConfig,
        out: Path,
        resume: Path | None = None,
        init: Checkpoint | None = None,
        recipe: str = "none",
    ) -> None:
        if config.run.threads:
            torch.set_num_threads(config.run.threads)
        self.config, self.out, self.recipe = config, out, recipe
        self.init = init and {
            "sha256": sha256_of(init.folder / WEIGHTS),
            "trained_on": trained_on(init.training),
            "licence": licence_of(init.training),
        }
        self.device = pick_device(config.run.device)
        self.source = open_source(config.data.uri)
        network = config.network.build()
        self.masking = make_masking(config.masking, network.encoder.grid, config.seed)
        self.batches = Batches(self.source, config.data, network.pixels, config.optim.batch_size, config.seed)
        self.distance = make_distance(config.objective)
        torch.manual_seed(config.seed)
        self.model = IJEPA(network).to(self.device)
        if config.run.compile:
            compile_parts(self.model)
        self.optimizer = make_optimizer(self.model, config.optim)
        self.steps = max(1, round(config.optim.epochs * self.batches.per_epoch))
        self.warmup = round(config.optim.warmup * self.batches.per_epoch)
        self.step = 0
        if resume is not None:
            self._restore(resume)
        elif init is not None:
            if init.absent:
                raise CheckpointError(
                    f"{init.folder} has no {' and no '.join(init.absent)}; training starts from a whole network"
                )
            load_strictly(self.model, init.tensors, str(init.folder))
        out.mkdir(parents=True, exist_ok=True)
        for half_written in out.glob(".step-*.tmp"):
            shutil.rmtree(half_written)

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
                result = self.take_step(batch)
                bar.update()
                if self.step % self.config.run.log_every == 0 or self.step == self.steps:
                    row = self._row(batch, result, (self.step - at) / (time.perf_counter() - since))
                    for sink in sinks:
                        sink.write(row)
                    bar.set_postfix(loss=f"{row['loss']:.4f}", rankme=f"{row['rankme']:.1f}", refresh=False)
                    since, at = time.perf_counter(), self.step
                stopping = stop[0] if stop else None
                if self.step % self.config.run.checkpoint_every == 0 or self.step == self.steps or stopping:
                    self._save(result)
                if stopping:
                    raise KeyboardInterrupt if stopping == signal.SIGINT else Preempted
        for sink in sinks:
            sink.close()
        return step_folder(self.out, self.step)

    def summary(self) -> str:
        """One line that says what is about to happen."""
        learning = sum(p.numel() for p in self.model.parameters() if p.requires_grad)
        compiling = (
            "; compiling takes minutes first (run.compile=false does without)" if self.config.run.compile else ""
        )
        return (
            f"{self.source.description}; {learning / 1e6:.2f} M learning parameters on {self.device}; "
            f"steps {self.step} to {self.steps} of {self.config.optim.batch_size} pictures, into {self.out}{compiling}"
        )

    def take_step(self, batch: Batch) -> StepResult:
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
        loss = self._finite(result)
        self._refuse_broken_weights()
        features = self._watched_features()
        rates = rates_at(self.step - 1, self.steps, self.warmup, self.config.optim)
        size = self.config.optim.batch_size
        return {
            "step": self.step,
            "epoch": batch.epoch,
            "images": self.step * size,
            "loss": loss,
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
        """Mean-pooled target-encoder features of pictures spread over the source, uncropped."""
        recipe = self.model.config.pixels
        if not hasattr(self, "_watched"):
            count = min(WATCHED, len(self.source))
            spread = np.linspace(0, len(self.source) - 1, count).astype(int)
            pictures = [to_pixels(open_or_next(self.source, int(i)), recipe) for i in spread]
            self._watched = torch.from_numpy(np.stack(pictures))
        with self._autocast():
            parts = [
                self.model.target_encoder(normalise(part.to(self.device), recipe)).float().mean(dim=1)
                for part in torch.split(self._watched, 256)
            ]
        return torch.cat(parts)

    def _finite(self, result: StepResult) -> float:
        loss = float(result.loss)
        if not np.isfinite(loss):
            raise TrainingError(f"the loss is {loss} at step {self.step}; {self._advice()}")
        return loss

    def _advice(self) -> str:
        latest = self.out / LATEST
        kept = latest.read_text().strip() if latest.exists() else "none"
        return f"the newest checkpoint from before is {kept}; try a lower optim.lr or optim.precision=float32"

    def _refuse_broken_weights(self) -> None:
        total = torch.stack([p.detach().float().sum() for p in self.model.parameters()]).sum()
        if not torch.isfinite(total):
            raise TrainingError(f"weights are no longer finite after step {self.step}; {self._advice()}")

    def _save(self, result: StepResult) -> None:
        """Write this step's checkpoint, name it the latest, delete those that are too old. A broken step is never saved."""
        self._finite(result)
        self._refuse_broken_weights()
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
            "pictures": {"count": len(self.source), "fingerprint": self.source.fingerprint},
            "init": self.init,
            "step": self.step,
            "steps": self.steps,
            "settings": self.config.result_half(),
        }
        write_checkpoint(folder, self.model.config, tensors, training, optimizer, {"step": self.step})
        point_latest(self.out, folder)
        older = [path for path in sorted(self.out.glob("step-*")) if path.name <= folder.name]
        for old in older[: -self.config.run.keep]:
            shutil.rmtree(old)

    def _restore(self, path: Path) -> None:
        """Take up weights, optimizer and step of a checkpoint of this very run.

        Raises:
            ConfigError: the settings that change results differ from those it was made with.
            CheckpointError: a missing or broken file.
        """
        checkpoint = read_checkpoint(path)
        training = checkpoint.training
        before = {
            "pictures": training.get("pictures"),
            "init": (training.get("init") or {}).get("sha256"),
            **(training.get("settings") or {}),
        }
        now = {
            "pictures": {"count": len(self.source), "fingerprint": self.source.fingerprint},
            "init": self.init and self.init["sha256"],
            **self.config.result_half(),
        }
        if changed := differences(before, now):
            raise ConfigError(
                f"{checkpoint.folder.parent} was made with other settings: {'; '.join(changed)}; use those, or another --out"
            )
        load_strictly(self.model, checkpoint.tensors, str(checkpoint.folder))
        try:
            saved = load_file(checkpoint.folder / "optimizer.safetensors", device=str(self.device))
            self.step = json.loads((checkpoint.folder / "state.json").read_text())["step"]
        except (OSError, ValueError, KeyError, SafetensorError) as error:
            raise CheckpointError(f"{checkpoint.folder} cannot be resumed: {error}") from error
        parameters = dict(self.model.named_parameters())
        for key, value in saved.items():
            name, _, field = key.partition(":")
            self.optimizer.state[parameters[name]][field] = value

    def _open_sinks(self) -> list[Sink]:
        sinks: list[Sink] = [CsvSink(self.out / RUN_LOG, self.step)]
        if self.config.run.tensorboard:
            sinks.append(TensorBoardSink(self.out / "tensorboard", self.step))
        return sinks


def find_resume(mode: str, out: Path) -> Path | None:
    """What `--resume` means: `auto` the run in `out` if there is one, `never` nothing, else a checkpoint or run.

    Raises:
        CheckpointError: a path that is no checkpoint.
        ConfigError: `never`, and a run is there, whose log and checkpoints would be mixed with the new one's.
    """
    if mode == "never":
        if (out / LATEST).exists():
            raise ConfigError(f"{out} holds a run; a new one needs another --out, or that folder deleted")
        return None
    if mode == "auto":
        return find_checkpoint(out) if (out / LATEST).exists() else None
    return find_checkpoint(Path(mode))


def compile_parts(model: IJEPA) -> None:
    """Fuse each network for the shapes it meets: the predictor sees one a block area, which may be more than torch allows for.

    Raises:
        ConfigError: no C++ compiler, which torch.compile needs on a CPU.
    """
    if (
        next(model.parameters()).device.type == "cpu"
        and not shutil.which(os.environ.get("CXX", "g++"))
        and not shutil.which("clang++")
    ):
        raise ConfigError("run.compile=true needs a C++ compiler (g++), and there is none; say run.compile=false")
    torch._dynamo.config.recompile_limit = max(256, torch._dynamo.config.recompile_limit)
    for part in (model.context_encoder, model.target_encoder, model.predictor):
        part.compile(dynamic=False)


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
    """A list that gets the number of a SIGTERM or SIGINT, so that the step under way can end.

    A second Ctrl-C stops at once; SIGTERM may be repeated, as some launchers do.
    """
    received: list[int] = []

    def note(number: int, _: FrameType | None) -> None:
        if received and number == signal.SIGINT:
            raise KeyboardInterrupt
        received.append(number)

    previous = {number: signal.signal(number, note) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield received
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
