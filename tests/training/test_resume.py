"""A run that dies and is started again ends as the run that did not, bit for bit."""

import csv
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from models.errors import ConfigError

SETTINGS = (
    "data.uri=synthetic:96",
    "optim.epochs=20",
    "optim.warmup=2",
    "run.threads=1",
    "run.workers=1",
    "run.log_every=1",
    "run.checkpoint_every=7",
    "run.tensorboard=false",
)
"""Sixty steps, and few images to monitor at each."""


def start(out: Path, *more: str) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "ijepa", "train", "debug", "--out", str(out), *SETTINGS, *more]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL)


def last_step(out: Path) -> int:
    try:
        rows = (out / "log.csv").read_text().splitlines()[1:]
        return int(rows[-1].split(",")[0]) if rows else 0
    except (OSError, ValueError):
        return 0


def wait_for(out: Path, step: int, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + 120
    while last_step(out) < step and process.poll() is None:
        assert time.monotonic() < deadline, "the run did not get there in two minutes"
        time.sleep(0.005)


def test_killed_at_five_random_steps_it_ends_with_the_same_weights(tmp_path):
    import torch
    from safetensors.torch import load_file

    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert start(whole).wait() == 0
    steps = sorted(random.Random().sample(range(1, 58), 5))
    print("killed at steps", steps)
    for step in steps:
        process = start(killed)
        wait_for(killed, step, process)
        process.kill()
        process.wait()
    assert start(killed).wait() == 0

    for file in ("model.safetensors", "optimizer.safetensors"):
        a, b = (load_file(run / "step-00000060" / file) for run in (whole, killed))
        assert a.keys() == b.keys()
        assert all(torch.equal(a[name], b[name]) for name in a), file
    logs = [list(csv.DictReader((run / "log.csv").read_text().splitlines())) for run in (whole, killed)]
    kept = ("step", "loss", "explained_variance", "lr", "feature_std", "rankme")
    assert [[row[name] for name in kept] for row in logs[0]] == [[row[name] for name in kept] for row in logs[1]]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 75), (signal.SIGINT, 130)])
def test_told_to_stop_it_saves_first_and_says_so_by_its_exit_code(tmp_path, number, code):
    process = start(tmp_path, "run.checkpoint_every=1000")
    wait_for(tmp_path, 5, process)
    os.kill(process.pid, number)
    assert process.wait() == code

    latest = int((tmp_path / "latest").read_text().strip().removeprefix("step-"))
    assert 5 <= latest < 60
    assert not list(tmp_path.glob(".*.tmp"))


@pytest.fixture
def begun(tmp_path, one_thread):
    """A run of two checkpoints."""
    from training.config import override
    from training.recipes import RECIPES
    from training.trainer import Trainer

    config = override(
        RECIPES["debug"](), ["optim.epochs=1", "optim.warmup=0", "run.checkpoint_every=8", "run.tensorboard=false"]
    )
    Trainer(config, tmp_path / "run").run()
    return config, tmp_path / "run"


def test_another_result_half_is_an_error_that_names_the_field(begun):
    from training.config import override
    from training.persistence import find_resume
    from training.trainer import Trainer

    config, run = begun
    other = override(config, ["optim.lr=0.5"])
    with pytest.raises(ConfigError, match=r"optim\.lr was 0\.001, is 0\.5; continue it with its own .*--resume"):
        Trainer(other, run, find_resume(str(run / "step-00000008"), run))
    with pytest.raises(ConfigError, match=r"is finished .* optim\.lr was 0\.001, is 0\.5; start a new run from its w"):
        Trainer(other, run, find_resume("auto", run))


def test_the_other_half_may_change(begun):
    from training.config import override
    from training.persistence import find_resume
    from training.trainer import Trainer

    config, run = begun
    trainer = Trainer(override(config, ["run.log_every=3"]), run, find_resume("auto", run))
    assert trainer.step == trainer.steps == 16


def test_a_loss_that_is_not_finite_ends_the_run_and_is_never_saved(begun, monkeypatch):
    import torch

    import training.trainer as module
    from training.persistence import find_resume
    from training.trainer import Trainer, TrainingError

    config, run = begun
    honest = module.train_step  # type: ignore[attr-defined]

    def broken(*args):
        return honest(*args)._replace(loss=torch.tensor(float("nan")))

    monkeypatch.setattr(module, "train_step", broken)
    trainer = Trainer(config, run, find_resume(str(run / "step-00000008"), run))
    with pytest.raises(TrainingError, match="the newest checkpoint before that is step-00000016"):
        trainer.run()


def test_only_the_newest_checkpoints_are_kept_and_latest_names_the_newest(tmp_path, one_thread):
    from training.config import override
    from training.recipes import RECIPES
    from training.trainer import Trainer

    config = override(RECIPES["debug"](), ["optim.epochs=1", "optim.warmup=0", "run.checkpoint_every=4", "run.keep=2"])
    Trainer(config, tmp_path).run()

    assert sorted(path.name for path in tmp_path.glob("step-*")) == ["step-00000012", "step-00000016"]
    assert (tmp_path / "latest").read_text() == "step-00000016\n"
    assert list((tmp_path / "tensorboard").iterdir())


def test_an_older_checkpoint_can_be_gone_on_with_and_nothing_newer_is_deleted(begun):
    from training.config import override
    from training.persistence import find_resume
    from training.trainer import Trainer

    config, run = begun
    trainer = Trainer(
        override(config, ["run.keep=1", "run.checkpoint_every=3"]), run, find_resume(str(run / "step-00000008"), run)
    )
    trainer.steps = 10
    trainer.run()

    assert (run / "latest").read_text() == "step-00000010\n"
    assert (run / "step-00000010").exists()
    assert (run / "step-00000016").exists()


def test_a_new_run_does_not_mix_with_an_old_one(begun):
    from training.persistence import find_resume

    with pytest.raises(ConfigError, match="holds a run; use another --out for a new one"):
        find_resume("never", begun[1])


def test_other_images_are_an_error_that_says_so(tmp_path, one_thread):
    from PIL import Image

    from training.config import override
    from training.persistence import find_resume
    from training.recipes import RECIPES
    from training.trainer import Trainer

    (tmp_path / "in").mkdir()
    for i in range(40):
        Image.new("L", (32, 32), i).save(tmp_path / "in" / f"{i}.png")
    config = override(
        RECIPES["debug"](), [f"data.uri={tmp_path}/in", "optim.epochs=1", "optim.warmup=0", "run.tensorboard=false"]
    )
    Trainer(config, tmp_path / "run").run()
    Image.new("L", (32, 32), 99).save(tmp_path / "in" / "new.png")

    with pytest.raises(ConfigError, match=r"images\.count was 40, is 41.*other file names or another number"):
        Trainer(config, tmp_path / "run", find_resume("auto", tmp_path / "run"))


def test_weights_that_are_not_finite_are_never_saved(begun, monkeypatch):
    import training.trainer as module
    from training.config import override
    from training.persistence import find_resume
    from training.trainer import Trainer, TrainingError

    config, run = begun
    honest = module.train_step  # type: ignore[attr-defined]

    def broken(model, *args):
        result = honest(model, *args)
        next(model.parameters()).data.fill_(float("inf"))
        return result

    monkeypatch.setattr(module, "train_step", broken)
    trainer = Trainer(override(config, ["run.checkpoint_every=1"]), run, find_resume(str(run / "step-00000008"), run))
    with pytest.raises(TrainingError, match="weights are not finite after step 9"):
        trainer.run()
    assert not (run / "step-00000009").exists()


def test_a_run_remembers_whose_weights_it_started_from(begun, tmp_path):
    from models.checkpoint.record import TrainingRecord
    from models.checkpoint.store import read_checkpoint
    from training.persistence import find_resume
    from training.trainer import Trainer

    config, run = begun
    start = read_checkpoint(run)
    last = Trainer(config, tmp_path / "second", init=start).run()

    assert read_checkpoint(last).training.trained_on == "512 synthetic images, in several runs"
    assert [read_checkpoint(each).training.total_steps for each in (run, last)] == [16, 32]
    assert read_checkpoint(last).training.total_images == 2 * 16 * 32
    assert [read_checkpoint(each).training.runs for each in (run, last)] == [1, 2]
    third = Trainer(config, tmp_path / "third", init=read_checkpoint(last)).run()
    assert read_checkpoint(third).training.trained_on == read_checkpoint(last).training.trained_on
    owls = TrainingRecord(trained_on="owls, starting from a network trained on birds", licence="MIT")
    fourth = read_checkpoint(
        Trainer(config, tmp_path / "fourth", init=read_checkpoint(last)._replace(training=owls)).run()
    ).training
    assert fourth.trained_on.endswith("trained on owls, starting from a network trained on birds")
    assert fourth.licence == "MIT"
    assert (fourth.total_steps, fourth.total_images) == (None, None)
    with pytest.raises(ConfigError, match="init was"):
        Trainer(config, tmp_path / "second", find_resume("auto", tmp_path / "second"))


def test_folders_of_other_names_are_neither_counted_nor_deleted(tmp_path, one_thread):
    from training.config import override
    from training.recipes import RECIPES
    from training.trainer import Trainer

    (tmp_path / "step-0000-mine").mkdir()
    settings = ["optim.epochs=0.25", "optim.warmup=0", "run.checkpoint_every=1", "run.keep=2", "run.tensorboard=false"]
    Trainer(override(RECIPES["debug"](), settings), tmp_path).run()
    expected = ["step-0000-mine", "step-00000003", "step-00000004"]
    assert sorted(path.name for path in tmp_path.glob("step-*")) == expected


def test_wrapped_parts_train_save_and_resume_under_their_own_names(tmp_path, one_thread):
    """As DDP wraps them: below an attribute `module`."""
    import torch
    from torch import nn

    from models.checkpoint.store import load_model, read_checkpoint
    from training.config import override
    from training.persistence import restore_step
    from training.recipes import RECIPES
    from training.trainer import Trainer

    class Wrapper(nn.Module):
        def __init__(self, module):
            super().__init__()
            self.module = module

        def forward(self, *args):
            return self.module(*args)

    def wrap(trainer):
        for part in ("context_encoder", "predictor"):
            setattr(trainer.model, part, Wrapper(getattr(trainer.model, part)))
        return trainer

    settings = ["optim.epochs=0.25", "optim.warmup=0", "run.checkpoint_every=2", "run.tensorboard=false"]
    config = override(RECIPES["debug"](), settings)
    plain = read_checkpoint(Trainer(config, tmp_path / "plain").run())
    run = tmp_path / "wrapped"
    wrapped = wrap(Trainer(config, run))
    wrapped.run()
    resumed = wrap(Trainer(config, run, run / "step-00000002"))
    assert restore_step(read_checkpoint(run), wrapped.model, wrapped.optimizer).step == 4
    again = read_checkpoint(resumed.run())

    load_model(again)
    assert again.tensors.keys() == plain.tensors.keys()
    assert all(torch.equal(tensor, plain.tensors[name]) for name, tensor in again.tensors.items())
