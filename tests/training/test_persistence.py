"""Runs of earlier versions are read and resumed."""

import csv
import json
import shutil
from pathlib import Path

import pytest

from training.masking.multiblock import MultiBlockSettings
from training.masking.random import RandomSettings

GOLDEN_RUN = Path(__file__).parents[1] / "golden" / "checkpoint-v2"


@pytest.fixture
def old_run(tmp_path, monkeypatch):
    """A copy of the golden run of format 2, stopped at step 4 of 8."""
    from models.config import SIZES, Size

    monkeypatch.setitem(SIZES, "golden", Size(8, 1, 1, 16, 8, 1))
    return Path(shutil.copytree(GOLDEN_RUN, tmp_path / "old"))


def test_a_run_of_an_earlier_version_resumes_and_ends_with_the_same_weights(old_run, one_thread):
    import torch
    from safetensors.torch import load_file

    from training.persistence import read_run
    from training.trainer import Trainer

    saved = read_run(old_run)
    trainer = Trainer(saved.config, saved.folder, saved.checkpoint, saved.origin, saved.recipe)
    assert (trainer.step, trainer.steps) == (4, 8)
    last = trainer.run()

    expected, reached = load_file(old_run / "expected.safetensors"), load_file(last / "model.safetensors")
    assert expected.keys() == reached.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(reached[name], tensor, rtol=1e-4, atol=1e-6)
    rows = list(csv.DictReader((old_run / "log.csv").read_text().splitlines()))
    assert [int(row["step"]) for row in rows] == list(range(1, 9))
    assert rows[0]["explained_variance"] == "-12.4288"


def test_the_recipe_with_the_same_settings_resumes_it_too(old_run, one_thread):
    """Though a synthetic source is described in other words now."""
    from training.persistence import find_resume, read_run
    from training.trainer import Trainer

    config = read_run(old_run).config
    assert Trainer(config, old_run, find_resume("auto", old_run)).step == 4


def test_fields_of_other_strategies_are_dropped(old_run):
    from training.persistence import read_run, upgrade_settings

    saved = read_run(old_run)
    assert saved.recipe == "debug"
    assert saved.config.masking == MultiBlockSettings()
    flat = json.loads((old_run / "config.json").read_text())["masking"] | {"name": "random", "hidden": 0.4}
    assert upgrade_settings({"masking": flat})["masking"] == RandomSettings(hidden=0.4).model_dump()
    assert upgrade_settings({"objective": {"beta": 2.0}})["objective"] == {"name": "latent", "beta": 2.0}


def test_a_run_without_its_settings_file_has_those_of_its_checkpoint(old_run):
    from training.persistence import read_run

    before = read_run(old_run).config
    (old_run / "config.json").unlink()
    assert read_run(old_run).config.result_half() == before.result_half()


def test_a_broken_settings_file_is_an_error_in_one_sentence(old_run):
    from models.errors import CheckpointError
    from training.persistence import read_run

    for broken in ("{", "[]", '{"data": {"uri": 5}}'):
        (old_run / "config.json").write_text(broken)
        with pytest.raises(CheckpointError, match=r"config\.json cannot be read: ") as caught:
            read_run(old_run)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("config.json", "[" * 100_000, "nested deeper"),
        ("config.json", '{"masking": {"name": ["x"]}}', "cannot be read"),
        ("config.json", '{"masking": 3}', "cannot be read"),
        ("config.json", "[1]", "cannot be read"),
        ("step-00000004/state.json", "[" * 100_000, "nested deeper"),
        ("step-00000004/state.json", "[4]", "state.json: "),
        ("step-00000004/state.json", '{"step": "x"}', "state.json: step"),
        ("step-00000004/state.json", '{"step": 4, "unreadable": {"a": 1}}', "state.json: unreadable"),
    ],
    ids=lambda value: value[:30],
)
def test_a_run_from_elsewhere_that_cannot_be_read_is_one_sentence(old_run, file, text, message):
    from models.errors import CheckpointError
    from training.persistence import read_run
    from training.trainer import Trainer

    def resume():
        saved = read_run(old_run)
        return Trainer(saved.config, saved.folder, saved.checkpoint, saved.origin, saved.recipe)

    assert resume().step == 4
    (old_run / file).write_text(text)
    with pytest.raises(CheckpointError, match=message):
        resume()


def test_optimizer_state_of_another_shape_is_an_error(old_run):
    from safetensors.torch import load_file, save_file

    from models.errors import CheckpointError
    from training.persistence import read_run
    from training.trainer import Trainer

    saved = read_run(old_run)
    path = saved.checkpoint / "optimizer.safetensors"
    state = load_file(path)
    key = next(name for name, value in state.items() if value.ndim > 1)
    save_file(state | {key: state[key][:, :1].contiguous()}, path)
    with pytest.raises(
        CheckpointError, match=r"cannot be resumed: optimizer\.safetensors: .* not that of its parameter"
    ):
        Trainer(saved.config, saved.folder, saved.checkpoint, saved.origin, saved.recipe)
