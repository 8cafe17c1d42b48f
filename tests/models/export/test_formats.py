import json

import pytest
import torch
from safetensors.torch import load_file

from tests.models.importers.helpers import close, imported


@pytest.mark.parametrize("to", ["timm", "transformers", "safetensors"])
@torch.no_grad()
def test_our_weights_load_strictly_elsewhere_and_give_the_same_tokens(to, tmp_path):
    from models.checkpoint.store import load_model, read_checkpoint
    from models.export.formats import export_format
    from tests.golden.make import write_tiny_checkpoint

    checkpoint = read_checkpoint(write_tiny_checkpoint(tmp_path / "step"))
    preprocessing = checkpoint.config.pixels.model_copy(update={"mean": (0.2, 0.3, 0.4)})
    checkpoint = checkpoint._replace(config=checkpoint.config.model_copy(update={"pixels": preprocessing}))
    export_format(checkpoint, to, tmp_path / to, "Apache-2.0")
    pixels = torch.randn(2, 3, 16, 16)
    expected = load_model(checkpoint).eval().target_encoder(pixels)

    if to == "timm":
        import timm

        theirs = timm.create_model(f"local-dir:{tmp_path / to}", pretrained=True).eval()
        assert close(theirs.forward_features(pixels), expected)
        assert close(theirs(pixels), expected.mean(1))
    elif to == "transformers":
        transformers = pytest.importorskip("transformers", reason="needs transformers (make dev)")
        theirs, report = transformers.IJepaModel.from_pretrained(
            tmp_path / to, add_pooling_layer=False, output_loading_info=True
        )
        assert not any(report.values())
        assert close(theirs.eval()(pixels).last_hidden_state, expected)
        back, again = imported(tmp_path / to, tmp_path)
        assert back.config.pixels.mean == (0.2, 0.3, 0.4)
        assert close(again.eval().target_encoder(pixels), expected)
    else:
        from models.network.encoder import Encoder

        theirs = Encoder(checkpoint.config.encoder).eval()
        theirs.load_state_dict(load_file(tmp_path / to / "model.safetensors"), strict=True)
        assert close(theirs(pixels), expected)


@pytest.mark.parametrize("licence", ["cc-by-nc-4.0", "Acme Noncommercial 1.0"])
def test_a_licence_is_kept_by_other_formats(licence, tmp_path):
    from models.checkpoint.store import read_checkpoint
    from models.export.formats import export_format
    from tests.golden.make import write_tiny_checkpoint

    checkpoint = read_checkpoint(write_tiny_checkpoint(tmp_path / "step"))
    for to, prefix in (("timm", "timm:local-dir:"), ("transformers", "")):
        export_format(checkpoint, to, tmp_path / to, licence)
        back, _ = imported(f"{prefix}{tmp_path / to}", tmp_path / f"from-{to}", heads=checkpoint.config.encoder.heads)
        assert back.training.licence == licence


def test_a_toy_format_is_a_choice_of_the_command_and_is_written(tmp_path, capsys, monkeypatch):
    """A new member of the family is a function and a line of the table."""
    from ijepa.cli import main
    from models.export import formats
    from tests.golden.make import write_tiny_checkpoint

    def toy(weights):
        tensors = {name.upper(): tensor for name, tensor in weights.tensors.items()}
        return formats.FormatFiles(tensors, {"toy.json": {"dimensions": weights.config.width}}, "load()\n")

    write_tiny_checkpoint(tmp_path / "step")
    command = ["export", str(tmp_path / "step"), "--out", str(tmp_path / "toy"), "--to", "toy"]
    with pytest.raises(SystemExit):
        main(command)
    monkeypatch.setitem(formats.FORMATS, "toy", toy)
    assert main([*command, "--dataset-name", "my photographs", "--licence", "MIT"]) == 0

    assert json.loads((tmp_path / "toy" / "toy.json").read_text()) == {"dimensions": 32}
    assert "NORM.WEIGHT" in load_file(tmp_path / "toy" / "model.safetensors")
    readme = (tmp_path / "toy" / "README.md").read_text()
    assert readme.startswith("---\nlicense: mit\n")
    assert "trained on my photographs. Licence: MIT.\n\n```python\nload()\n```" in readme


def test_a_folder_that_is_not_empty_is_kept(tmp_path):
    from models.checkpoint.store import read_checkpoint
    from models.errors import ExportError
    from models.export.formats import export_format
    from tests.golden.make import write_tiny_checkpoint

    step = write_tiny_checkpoint(tmp_path / "step")
    with pytest.raises(ExportError, match="step is not empty; use another --out"):
        export_format(read_checkpoint(step), "timm", step)
