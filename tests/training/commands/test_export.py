"""`ijepa export`: what the options do, and what is reported."""

import pytest

from ijepa.cli import main
from tests.golden.make import write_tiny_checkpoint


@pytest.fixture
def export(tmp_path):
    """The command on a tiny checkpoint, with more arguments."""
    step = write_tiny_checkpoint(tmp_path / "step")
    return lambda *more: main(["export", str(step), "--out", str(tmp_path / "out"), *more])


def test_a_card_of_ones_own_gets_the_licence_and_no_log_of_another_program(export, tmp_path, capsys):
    from models.bundle.reader import read_bundle

    (tmp_path / "log.csv").write_text("another program's")
    (tmp_path / "card.md").write_bytes("# Größe\n".encode("latin-1"))
    assert export("--card", str(tmp_path / "card.md")) == 1
    assert "card.md is not UTF-8 text" in capsys.readouterr().err
    (tmp_path / "card.md").write_text("# Mine\n")
    assert export("--card", str(tmp_path / "card.md"), "--licence", "CC0-1.0") == 0

    said, bundle = capsys.readouterr(), read_bundle(tmp_path / "out")
    assert said.out == f"{tmp_path / 'out'}\n"
    assert "encoder.onnx: max abs difference from PyTorch " in said.err
    assert " (allowed: 1.0e-04)\n" in said.err
    assert bundle.path("MODEL_CARD.md").read_text().startswith("# Mine\n\nLicence of the weights: CC0-1.0.\n")
    assert "training_log.csv" not in bundle.manifest.files


def test_a_bundle_has_the_name_of_the_dataset_and_the_whitening_of_a_source(export, tmp_path, capsys, one_thread):
    from models.bundle.reader import read_bundle

    assert export("--whiten", "synthetic:120", "--dataset-name", "12 photographs of my garden") == 0
    bundle = read_bundle(tmp_path / "out")
    whitening = bundle.manifest.whitening
    assert (whitening.images, whitening.measured_on) == (120, "120 synthetic images")
    assert bundle.manifest.source.trained_on == "12 photographs of my garden"
    assert "- Trained on 12 photographs of my garden.\n" in bundle.path("MODEL_CARD.md").read_text()


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (("--size", "big"), 2, "--size 'big' is not a size; give pixels, as in 448 or 448x224"),
        (("--size", "18x16"), 1, "image size 18 is not divisible by patch size 4"),
        (("--precision", "int8"), 2, "--precision and --calibration go together"),
        (("--calibration", "synthetic:9"), 2, "--precision and --calibration go together"),
        (("--id", "Not An Id"), 1, "'Not An Id' is not a valid id"),
        (("--store", "float16", "--to", "timm"), 2, "--store applies to bundles; --to timm writes the target encoder"),
        (("--whiten", "synthetic:120", "--to", "timm"), 2, "--whiten applies to bundles"),
    ],
)
def test_options_that_cannot_mean_anything_are_errors(export, tmp_path, capsys, options, code, message):
    assert export(*options) == code
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
