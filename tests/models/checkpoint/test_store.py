import json

import pytest

from models.errors import CheckpointError
from tests.golden.make import tiny_config, tiny_model, write_tiny_checkpoint


@pytest.fixture
def step(tmp_path):
    return write_tiny_checkpoint(tmp_path / "run" / "step-00000001")


def test_a_checkpoint_comes_back_as_it_was(step):
    import torch

    from models.checkpoint.store import load_model, read_checkpoint

    checkpoint = read_checkpoint(step)
    loaded = load_model(checkpoint).state_dict()

    assert checkpoint.config == tiny_config()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in tiny_model().state_dict().items())


def test_a_run_is_its_latest_step(step):
    from models.checkpoint.store import find_checkpoint, update_latest

    update_latest(step.parent, step)
    assert find_checkpoint(step.parent) == step


def test_latest_that_names_nothing_is_an_error(step):
    from models.checkpoint.store import find_checkpoint

    (step.parent / "latest").write_text("step-00000009\n")
    with pytest.raises(CheckpointError, match="step-00000009"):
        find_checkpoint(step.parent)


def test_a_folder_without_weights_is_not_a_checkpoint(tmp_path):
    from models.checkpoint.store import find_checkpoint

    with pytest.raises(CheckpointError, match="is not a checkpoint: expected"):
        find_checkpoint(tmp_path)


def test_every_tensor_that_does_not_fit_is_listed(step):
    import torch

    from models.checkpoint.store import load_model, read_checkpoint

    checkpoint = read_checkpoint(step)
    tensors = dict(checkpoint.tensors)
    del tensors["predictor.mask_token"]
    tensors["predictor.more"] = torch.zeros(2)
    tensors["target_encoder.norm.weight"] = torch.zeros(5)

    with pytest.raises(CheckpointError) as caught:
        load_model(checkpoint._replace(tensors=tensors))

    message = str(caught.value)
    assert "missing predictor.mask_token [1, 1, 16]" in message
    assert "unexpected predictor.more [2]" in message
    assert "target_encoder.norm.weight has shape [5], expected [32]" in message


def test_an_absent_part_is_named(step):
    from models.checkpoint.store import load_model, read_checkpoint, write_checkpoint

    tensors = {name: t for name, t in tiny_model().state_dict().items() if name.startswith("target_encoder.")}
    write_checkpoint(step, tiny_config(), tensors, {})

    checkpoint = read_checkpoint(step)
    assert checkpoint.absent == ("context_encoder", "predictor")
    model = load_model(checkpoint)
    assert not model.predicts
    assert not hasattr(model, "predictor")


def test_truncated_weights_are_an_error_in_one_sentence(step):
    from models.checkpoint.store import read_checkpoint

    weights = step / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match="cannot be read"):
        read_checkpoint(step)


def test_an_unknown_format_is_an_error_with_its_number(step):
    from models.checkpoint.store import read_checkpoint

    document = json.loads((step / "config.json").read_text())
    (step / "config.json").write_text(json.dumps(document | {"format": 99}))
    with pytest.raises(CheckpointError, match="format 99; this version reads 1, 2, 3"):
        read_checkpoint(step)


def test_a_write_that_fails_leaves_what_was_there(step, monkeypatch):
    import models.checkpoint.store as module
    from models.checkpoint.store import read_checkpoint

    def full(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr(module, "save_file", full)
    with pytest.raises(OSError, match="no space left"):
        write_tiny_checkpoint(step)

    assert read_checkpoint(step).config == tiny_config()
    assert [path.name for path in step.parent.iterdir()] == [step.name]


@pytest.mark.parametrize(
    "name",
    ["..", ".", "../other/step-00000001", "/tmp/step-00000001", "step-1/../../x", "step-00000001\x00", "", "x" * 2000],
)
def test_latest_names_a_step_of_its_own_run(step, tmp_path, name):
    from models.checkpoint.store import find_checkpoint

    write_tiny_checkpoint(tmp_path / "other" / "step-00000001")
    (step.parent / "latest").write_text(name)
    with pytest.raises(CheckpointError, match=r"latest (names .*, expected a folder of the run|cannot be read)"):
        find_checkpoint(step.parent)


def test_latest_does_not_follow_a_link_out_of_its_run(step, tmp_path):
    from models.checkpoint.store import find_checkpoint

    elsewhere = write_tiny_checkpoint(tmp_path / "other" / "step-00000002")
    (step.parent / "step-00000002").symlink_to(elsewhere)
    (step.parent / "latest").write_text("step-00000002")
    with pytest.raises(CheckpointError, match="expected a folder of the run"):
        find_checkpoint(step.parent)


@pytest.mark.parametrize(
    "text", ["[" * 100_000, "[1]", '{"format": 2, "training": []}', '{"format": 1, "training": {"init": 3}}', ""]
)
def test_a_hostile_config_is_one_sentence(step, text):
    from models.checkpoint.store import read_checkpoint

    (step / "config.json").write_text(text)
    with pytest.raises(CheckpointError):
        read_checkpoint(step)


@pytest.mark.parametrize(("field", "value"), [("width", 2**40), ("depth", 10**6), ("grid", [1000, 1000])])
def test_the_size_of_a_network_is_bounded_before_it_is_built(step, field, value):
    from models.checkpoint.store import read_checkpoint

    document = json.loads((step / "config.json").read_text())
    document["model"]["encoder"][field] = value
    (step / "config.json").write_text(json.dumps(document))
    with pytest.raises(CheckpointError, match=r"config\.json: model"):
        read_checkpoint(step)


def test_a_header_of_many_tensors_is_an_error(step):
    from models.checkpoint.store import read_checkpoint

    (step / "model.safetensors").write_bytes((50_000_000).to_bytes(8, "little") + b"{}")
    with pytest.raises(CheckpointError, match="its header has 50,000,000 bytes"):
        read_checkpoint(step)


def test_tensors_of_other_kinds_than_floating_point_are_listed(step):
    import torch

    from models.checkpoint.store import load_model, read_checkpoint

    checkpoint = read_checkpoint(step)
    tensors = checkpoint.tensors | {"target_encoder.norm.weight": torch.zeros(32, dtype=torch.int64)}
    with pytest.raises(CheckpointError, match=r"target_encoder\.norm\.weight is torch\.int64"):
        load_model(checkpoint._replace(tensors=tensors))
