"""More precisions for a bundle, without its checkpoint."""

import shutil

import pytest

from models.bundle.reader import read_bundle
from models.errors import BundleError, ConfigError
from models.export import quantize
from models.export.precisions import add_precisions
from tests.models.export.images import images


@pytest.fixture
def few(monkeypatch):
    monkeypatch.setattr(quantize, "N_RANGE_IMAGES", 48)
    monkeypatch.setattr(quantize, "N_ACCURACY_IMAGES", 100)
    return images(148)


def test_a_bundle_gets_precisions_in_its_place_and_keeps_the_rest(golden, tmp_path, few):
    from models.inference.canonical import check_canonical
    from models.runtimes.select import open_runtime

    folder = tmp_path / "bundle"
    before = read_bundle(shutil.copytree(golden, folder))
    add_precisions(before, folder, "more", ("int8", "bfloat16"), few)
    after = read_bundle(folder)

    assert after.manifest.id == "more"
    assert list(after.manifest.variants) == ["int8", "bfloat16"]
    assert after.manifest.variants["int8"].measured_on == "made-up images"
    assert after.manifest.files.keys() - before.manifest.files.keys() == {
        "encoder.int8.onnx",
        "context.int8.onnx",
        "predictor.int8.onnx",
    }
    kept = before.manifest.files.keys() - {"MODEL_CARD.md"}
    assert all(after.manifest.files[name] == before.manifest.files[name] for name in kept)
    changed = {"id", "files", "variants", "tolerance"}
    assert after.manifest.model_dump(exclude=changed) == before.manifest.model_dump(exclude=changed)
    check_canonical(open_runtime("onnxruntime", after, precision="int8"), after)


def test_the_card_has_one_sentence_for_each_precision(golden, tmp_path, few):
    card = (golden / "MODEL_CARD.md").read_text().splitlines()
    add_precisions(read_bundle(golden), tmp_path / "a", "golden", ("bfloat16",), few)
    again = add_precisions(read_bundle(tmp_path / "a"), tmp_path / "b", "golden-2", ("bfloat16",), few)
    lines = (tmp_path / "b" / "MODEL_CARD.md").read_text().splitlines()

    assert lines[0] == "# golden-2"
    assert lines[1:-1] == card[1:]
    assert lines[-1].startswith("In bfloat16, on 100 images of made-up images: ")
    mean = again.variants["bfloat16"].poolings["mean"].first_percentile
    assert f"; first percentile by pooling: mean {mean:.5f}, last4 " in lines[-1]


def test_sentences_on_precisions_stand_behind_the_one_on_parity(golden, tmp_path, few):
    from models.bundle.card import with_precisions

    manifest = add_precisions(read_bundle(golden), tmp_path / "a", "golden", ("bfloat16",), few)
    card = "Max abs difference between A and B.\nIn bfloat16, on 3 images of old ones: x.\n\nEnergies.\n"
    lines = with_precisions(card, "golden", manifest).splitlines()
    assert [line.partition(" ")[0] for line in lines] == ["Max", "In", "", "Energies."]
    assert "made-up images" in lines[1]


def test_too_few_images_and_a_folder_of_something_else_are_errors(golden, tmp_path, few):
    bundle = read_bundle(golden)
    with pytest.raises(ConfigError, match="has 147 images; --precision needs 148"):
        add_precisions(bundle, tmp_path / "out", "x", ("int8",), images(147))
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(BundleError, match="is not empty and is not a bundle"):
        add_precisions(bundle, tmp_path, "x", ("int8",), few)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
