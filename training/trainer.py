"""The loop: step, log, checkpoint."""

import signal
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8

from models.checkpoint.record import Images, Origin, TrainingRecord, images_of_all_runs
from models.checkpoint.store import LATEST, Checkpoint, load_strictly, read_checkpoint, step_folder
from models.errors import IJEPAError
from models.images.preprocess import to_pixels
from models.images.sources.base import ListOptions, Source
from models.images.sources.table import absolute_uri, open_source
from models.network.ijepa import IJEPA
from models.progress import Progress, no_progress
from training.config import RunConfig
from training.data.channels import infer_channels
from training.data.loader import Batch, Batches, Reader
from training.device import autocast, compile_parts, pick_device
from training.loggers.table import open_loggers
from training.masking.table import make_masking
from training.monitors import feature_std, pooled_features, rankme
from training.objectives.base import MaskIds
from training.objectives.table import make_objective
from training.optim import make_optimizer
from training.persistence import delete_incomplete, restore_step, save_step, write_run_record
from training.schedules import Rates, rates_at
from training.signals import Preempted, stop_signals
from training.starting import check_same_run, network_of_init, origin_of, saved_network
from training.step import StepResult, train_step

N_MONITOR_IMAGES = 1024
"""Images whose features are monitored for collapse."""


class TrainingError(IJEPAError):
    """A run that cannot continue."""


class Trainer:
    """One run in one folder: from the first step, or from the checkpoint `resume` of the same run.

    `init` is the checkpoint whose weights the run starts from. `notes` are sentences about what was inferred from the
    images or taken from `init`, and what the source skipped; `last_row` is the newest row of the log.
    """

    def __init__(
        self,
        config: RunConfig,
        out: Path,
        resume: Path | None = None,
        init: Checkpoint | Origin | None = None,
        recipe: str = "none",
        progress: Progress = no_progress,
    ) -> None:
        if config.run.threads:
            torch.set_num_threads(config.run.threads)
        self.out, self.recipe, self.progress = out, recipe, progress
        self.origin = origin_of(init) if isinstance(init, Checkpoint) else init
        self.device = pick_device(config.run.device)
        self.source = open_source(config.data.uri, ListOptions(config.data.by_suffix), progress)
        reader = Reader(self.source)
        network, from_init = config.network, None
        if resume is not None:
            network = saved_network(network, resume)
        elif isinstance(init, Checkpoint):
            network, from_init = network_of_init(network, init)
        network, inferred = infer_channels(network, reader)
        self.notes = [note for note in (_skipped(self.source), from_init, inferred) if note]
        data = config.data.model_copy(update={"uri": absolute_uri(config.data.uri)})
        self.config = config = config.model_copy(update={"data": data, "network": network})
        described = f"the {len(self.source):,} images of {config.data.name}" if config.data.name else None
        self.images = Images(
            count=len(self.source),
            fingerprint=self.source.fingerprint,
            description=described or self.source.description,
        )
        architecture = network.build()
        self.masking = make_masking(config.masking, architecture.encoder.grid, config.seed)
        self.batches = Batches(reader, config.data, architecture.pixels, config.optim.batch_size, config.seed)
        self.objective = make_objective(config.objective)
        torch.manual_seed(config.seed)
        self.model = IJEPA(architecture).to(self.device)
        if config.run.compile:
            compile_parts(self.model)
        self.optimizer = make_optimizer(self.model, config.optim)
        per_epoch = self.batches.sampler.per_epoch
        self.steps = max(1, round(config.optim.epochs * per_epoch))
        self.warmup = round(config.optim.warmup * per_epoch)
        self.step = 0
        if resume is not None:
            checkpoint = read_checkpoint(resume)
            check_same_run(checkpoint, config, self.images, self.origin)
            state = restore_step(checkpoint, self.model, self.optimizer)
            self.step, unreadable = state.step, state.unreadable
            reader.broken.update(dict.fromkeys(unreadable, "it could not be read before the run was resumed"))
        elif isinstance(init, Checkpoint):
            load_strictly(self.model, init.tensors, str(init.folder))
        out.mkdir(parents=True, exist_ok=True)
        delete_incomplete(out)
        self.last_row: dict[str, float] | None = None

    def run(self, on_stop: Callable[[], None] = lambda: None) -> Path:
        """Train to the end; returns the folder of the last checkpoint. `on_stop` is called in the handler of a signal.

        Raises:
            TrainingError: the loss or the weights are not finite.
            Preempted: SIGTERM came; the last step is saved.
            KeyboardInterrupt: likewise, for SIGINT.
        """
        write_run_record(self.out, self.config, self.recipe)
        run = self.config.run
        log_every, checkpoint_every = run.log_interval(self.steps), run.checkpoint_interval(self.steps)
        batches = self.batches.stream(self.step, self.steps, run.workers)
        with (
            open_loggers(run.active_loggers(), self.out, self.step, self._columns()) as loggers,
            stop_signals(on_stop) as stop,
            self.progress(self.steps, "training", "steps", self.step) as stage,
        ):
            since, at = time.perf_counter(), self.step
            for batch in batches:
                try:
                    result = self.take_step(batch)
                except RuntimeError as error:
                    if signal.SIGINT in stop:  # a terminal's Ctrl-C also stops the compiler, which then fails
                        raise KeyboardInterrupt from error
                    raise
                stage.update()
                if self.step % log_every == 0 or self.step == self.steps:
                    row = self._row(batch, result, (self.step - at) / (time.perf_counter() - since))
                    for logger in loggers:
                        logger.write(row)
                    stage.note(f"loss={row['loss']:.4f}, rankme={row['rankme']:.1f}")
                    since, at = time.perf_counter(), self.step
                stopping = stop[0] if stop else None
                if self.step % checkpoint_every == 0 or self.step == self.steps or stopping:
                    self._save(result)
                if stopping:
                    raise KeyboardInterrupt if stopping == signal.SIGINT else Preempted
        return step_folder(self.out, self.step)

    def take_step(self, batch: Batch) -> StepResult:
        """Draw masks for a batch and train on it."""
        masks = self.masking.draw(self.step, batch.epoch, batch.samples)
        result = train_step(
            self.model,
            self.optimizer,
            self.objective,
            torch.from_numpy(batch.pixels).to(self.device),
            MaskIds(*(torch.from_numpy(ids).to(self.device) for ids in masks)),
            self._rates(),
            autocast(self.device, self.config.optim.precision),
        )
        self.step += 1
        return result

    def summary(self) -> str:
        """One line that says what is about to happen."""
        learning = sum(p.numel() for p in self.model.parameters() if p.requires_grad)
        compiling = "; compiling takes minutes first (run.compile=false skips it)" if self.config.run.compile else ""
        return (
            f"{self.images.description}; {learning / 1e6:.2f} M learning parameters on {self.device}; "
            f"steps {self.step} to {self.steps} of {self.config.optim.batch_size} images, into {self.out}{compiling}"
        )

    def _rates(self) -> Rates:
        return rates_at(self.step, self.steps, self.warmup, self.config.optim)

    def _columns(self) -> list[str]:
        before, after = ("step", "epoch", "images", "loss"), ("images_per_s", "lr", "weight_decay", "ema")
        return [*before, *self.objective.logs, *after, "feature_std", "rankme"]

    def _row(self, batch: Batch, result: StepResult, steps_per_s: float) -> dict[str, float]:
        """The row of the log for the step just done."""
        self._check_finite(result)
        with autocast(self.device, self.config.optim.precision):
            features = pooled_features(self.model, self._monitor_pixels())
        rates = rates_at(self.step - 1, self.steps, self.warmup, self.config.optim)
        size = self.config.optim.batch_size
        self.last_row = {
            "step": self.step,
            "epoch": batch.epoch,
            "images": self.step * size,
            "loss": float(result.loss),
            **{name: float(value) for name, value in result.logs.items()},
            "images_per_s": steps_per_s * size,
            "lr": rates.lr,
            "weight_decay": rates.weight_decay,
            "ema": rates.ema,
            "feature_std": feature_std(features),
            "rankme": rankme(features),
        }
        return self.last_row

    def _monitor_pixels(self) -> UInt8[np.ndarray, "n H W C"]:
        """Uncropped images spread evenly over the source, read once."""
        if not hasattr(self, "_monitored"):
            spread = np.linspace(0, len(self.source) - 1, min(N_MONITOR_IMAGES, len(self.source))).astype(int)
            reader, recipe = self.batches.reader, self.model.config.pixels
            self._monitored = np.stack([to_pixels(reader.open(int(index)), recipe) for index in spread])
        return self._monitored

    def _check_finite(self, result: StepResult) -> None:
        latest = self.out / LATEST
        newest = latest.read_text().strip() if latest.exists() else "none"
        advice = f"the newest checkpoint before that is {newest}; try a lower optim.lr or optim.precision=float32"
        if not torch.isfinite(result.loss):
            raise TrainingError(f"the loss is {float(result.loss)} at step {self.step}; {advice}")
        total = torch.stack([p.detach().float().sum() for p in self.model.parameters()]).sum()
        if not torch.isfinite(total):
            raise TrainingError(f"weights are not finite after step {self.step}; {advice}")

    def _save(self, result: StepResult) -> None:
        self._check_finite(result)
        reader = self.batches.reader
        save_step(self.out, self.model, self.optimizer, self._record(), self.config.run.keep, list(reader.broken))

    def _record(self) -> TrainingRecord:
        origin, seen = self.origin, self.step * self.config.optim.batch_size
        before_steps, before_images = (origin.total_steps, origin.total_images) if origin else (0, 0)
        return TrainingRecord(
            recipe=self.recipe,
            trained_on=images_of_all_runs(self.images.description, origin),
            licence=origin.licence if origin else "unspecified",
            images=self.images,
            init=origin,
            step=self.step,
            steps=self.steps,
            total_steps=None if before_steps is None else before_steps + self.step,
            total_images=None if before_images is None else before_images + seen,
            settings=self.config.saved_half(),
        )


def _skipped(source: Source) -> str | None:
    """What a source holds besides images, in one sentence."""
    if not source.skipped:
        return None
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in sorted(source.skipped.items()))
    return f"skipped among the images: {kinds}"
