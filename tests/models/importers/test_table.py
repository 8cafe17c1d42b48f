"""What holds for every importer: the architecture from shapes, the strict check, the notes."""

import pytest

from models.errors import ImporterError
from tests.models.importers import meta_layout
from tests.models.importers.helpers import imported, published_by_timm


def test_heads_are_never_guessed(meta, tmp_path, monkeypatch):
    """Not for a width that is not in the table, not where source and table disagree, not for depths that are not in the table."""
    from models.importers.table import import_source

    with pytest.raises(ImporterError, match=r"has width 40, which is not in the table of sizes .*--heads"):
        import_source(str(meta))
    cut = meta_layout.write(tmp_path / "tiny.pth.tar", meta_layout.document(width=192, depth=12, hidden=768, narrow=24))
    with pytest.raises(ImporterError, match=r"its predictor 3; the table of sizes has .*12 and 6 \(tiny\)"):
        import_source(str(cut))
    published_by_timm(tmp_path, monkeypatch, img_size=32, patch_size=8, embed_dim=192, depth=12, num_heads=4)
    with pytest.raises(ImporterError, match=r"states 4 heads, an I-JEPA of width 192 has 3: choose with --heads"):
        import_source("timm:vit_huge_patch14_gap_224.in1k_ijepa")
    assert import_source("timm:vit_huge_patch14_gap_224.in1k_ijepa", heads=4).config.encoder.heads == 4


@pytest.mark.parametrize("part", ["encoder", "predictor"])
def test_a_missing_part_is_noted(part, tmp_path):
    from models.importers.table import import_source

    document = {key: value for key, value in meta_layout.document().items() if key != part}
    found = import_source(str(meta_layout.write(tmp_path / "part.pth.tar", document)), heads=5)
    assert any("it can encode, not predict" in note for note in found.notes)


def test_nothing_is_stated_of_how_an_unknown_network_was_trained(hugging_face, meta, tmp_path):
    assert imported(hugging_face[0], tmp_path / "theirs")[0].training.settings == {}
    assert imported(meta, tmp_path / "meta", heads=5)[0].training.settings["masking"]["name"] == "reference"


def test_a_toy_importer_is_used_and_described(tmp_path, monkeypatch):
    """A new member of the family is an `Importer` and a line of the table."""
    from models.importers import base, table
    from tests.golden.make import tiny_config, tiny_model

    def read(source, preprocessing):
        prefix = "target_encoder."
        tensors = {k.removeprefix(prefix): v for k, v in tiny_model().state_dict().items() if k.startswith(prefix)}
        return base.ForeignWeights(
            f"the {source}", {"target_encoder": tensors}, {"crop": 0.5}, heads=2, licence="CC0-1.0"
        )

    member = base.Importer("toy:NAME", lambda source: source.startswith("toy:"), read)
    monkeypatch.setitem(table.IMPORTERS, "toy", member)
    checkpoint, _ = imported("toy:thing", tmp_path)

    assert checkpoint.config.encoder == tiny_config().encoder
    assert checkpoint.config.pixels.crop == 0.5
    assert (checkpoint.training.recipe, checkpoint.training.licence) == ("imported from the toy:thing", "CC0-1.0")
    assert table.describe_sources().endswith(" or toy:NAME")
    with pytest.raises(ImporterError, match=r"unknown source 'toy;': .* or toy:NAME"):
        imported("toy;", tmp_path)


def test_training_does_not_start_from_half_a_network(hugging_face, tmp_path):
    from models.errors import CheckpointError
    from training.recipes import RECIPES
    from training.trainer import Trainer

    checkpoint, _ = imported(hugging_face[0], tmp_path)
    with pytest.raises(CheckpointError, match="has no context_encoder and no predictor"):
        Trainer(RECIPES["debug"](), tmp_path / "run", init=checkpoint)
