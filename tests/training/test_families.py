"""A member of a family is one class with its settings, and one line in the family's table."""

import csv
import json
from typing import Literal

import numpy as np
import pytest

from models.errors import ConfigError
from training.config import RunConfig, override
from training.families import MemberSettings
from training.masking.base import Masks
from training.recipes import RECIPES

FEW_STEPS = [
    "optim.epochs=0.2",
    "optim.warmup=0",
    "run.threads=1",
    "run.workers=1",
    "run.log_every=1",
    "run.tensorboard=false",
]


class LeftSettings(MemberSettings):
    name: Literal["left"] = "left"
    columns: int = 3


class Left:
    """The left columns are the context, the last column is the target."""

    settings = LeftSettings

    def __init__(self, config, grid, seed):
        self.config, self.ids = config, np.arange(grid[0] * grid[1]).reshape(grid)

    def draw(self, step, epoch, samples):
        context, targets = self.ids[:, : self.config.columns].reshape(-1), self.ids[:, -1]
        context = np.sort(context)
        return Masks(np.tile(context, (len(samples), 1)), np.tile(targets, (len(samples), 1, 1)))


class ShrinkSettings(MemberSettings):
    name: Literal["shrink"] = "shrink"
    weight: float = 1.0


class Shrink:
    """Makes context tokens small; logs how large they are."""

    settings = ShrinkSettings
    logs: tuple[str, ...] = ("size",)

    def __init__(self, config):
        self.config = config

    def __call__(self, model, images, masks):
        size = model.context_encoder(images, masks.context).float().square().mean()
        return self.config.weight * size, {"size": size.detach()}


class JsonLinesSettings(MemberSettings):
    name: Literal["jsonl"] = "jsonl"
    file: str = "log.jsonl"


class JsonLines:
    """One JSON object a line."""

    settings = JsonLinesSettings

    def __init__(self, config, folder, resume_step, columns):
        self.file, self.columns = (folder / config.file).open("a"), columns

    def write(self, row):
        self.file.write(json.dumps({name: row[name] for name in self.columns}) + "\n")

    def close(self):
        self.file.close()


@pytest.fixture
def toys(monkeypatch):
    """A toy member in each table."""
    from training.loggers.table import LOGGERS
    from training.masking.table import MASKINGS
    from training.objectives.table import OBJECTIVES

    monkeypatch.setitem(MASKINGS, "left", Left)
    monkeypatch.setitem(OBJECTIVES, "shrink", Shrink)
    monkeypatch.setitem(LOGGERS, "jsonl", JsonLines)


def test_a_masking_strategy_of_ones_own_is_trained_with_by_its_name(toys, tmp_path, one_thread):
    from training.persistence import read_run
    from training.trainer import Trainer

    config = override(RECIPES["debug"](), [*FEW_STEPS, "masking.name=left", "masking.columns=2"])
    trainer = Trainer(config, tmp_path)
    trainer.run()

    assert trainer.step == 3
    assert trainer.masking.draw(0, 0, np.arange(1)).context.tolist() == [[c + 8 * r for r in range(8) for c in (0, 1)]]
    assert read_run(tmp_path).config.masking == LeftSettings(columns=2)
    again = Trainer(config, tmp_path, resume=read_run(tmp_path).checkpoint)
    assert again.step == 3
    with pytest.raises(ConfigError, match=r"masking\.columns was 2, is 1"):
        Trainer(override(config, ["masking.columns=1"]), tmp_path, resume=read_run(tmp_path).checkpoint)


def test_an_objective_of_ones_own_logs_its_values(toys, tmp_path, one_thread):
    from training.trainer import Trainer

    config = override(RECIPES["debug"](), [*FEW_STEPS, "objective.name=shrink", "objective.weight=2"])
    Trainer(config, tmp_path).run()

    rows = list(csv.DictReader((tmp_path / "log.csv").read_text().splitlines()))
    assert list(rows[0])[:6] == ["step", "epoch", "images", "loss", "size", "images_per_s"]
    assert float(rows[0]["loss"]) == pytest.approx(2 * float(rows[0]["size"]), rel=1e-4)
    assert float(rows[-1]["size"]) < float(rows[0]["size"])


def test_a_logger_of_ones_own_gets_every_row(toys, tmp_path, one_thread):
    from training.trainer import Trainer

    config = override(RECIPES["debug"](), [*FEW_STEPS, 'run.loggers=["csv",{"name":"jsonl","file":"x.jsonl"}]'])
    Trainer(config, tmp_path).run()

    rows = [json.loads(line) for line in (tmp_path / "x.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [1, 2, 3]
    assert (tmp_path / "log.csv").exists()


def test_settings_of_a_member_follow_from_the_table(toys, capsys):
    from ijepa.cli import main

    assert main(["train", "debug", "masking.name=left", "objective.name=shrink", "--settings"]) == 0
    printed = capsys.readouterr().out.splitlines()

    assert {'masking.name="left"', "masking.columns=3", 'objective.name="shrink"', "objective.weight=1.0"} <= set(
        printed
    )
    assert not [line for line in printed if line.startswith("masking.target")]
    schema = RunConfig.model_json_schema()
    names = [each["properties"]["name"]["const"] for each in schema["properties"]["masking"]["oneOf"]]
    assert names == ["multiblock", "reference", "rasterized", "block", "random", "left"]


def test_a_bad_field_of_a_member_is_named_with_its_path(toys):
    with pytest.raises(ConfigError, match=r"masking\.columns='many'"):
        override(RECIPES["debug"](), ["masking.name=left", "masking.columns=many"])
    with pytest.raises(ConfigError, match=r"run\.loggers\[0\]\.path=1: extra inputs are not permitted"):
        override(RECIPES["debug"](), ['run.loggers=[{"name":"jsonl","path":1}]'])
    with pytest.raises(ConfigError, match="expected the settings of a member with its name"):
        override(RECIPES["debug"](), ["run.loggers=[7]"])
