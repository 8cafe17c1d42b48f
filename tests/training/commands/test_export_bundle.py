"""`ijepa export BUNDLE`: more precisions for a bundle."""

import pytest

from ijepa.cli import main
from models.bundle.reader import read_bundle


def test_a_bundle_gets_a_precision_and_its_accuracy_is_reported(golden, tmp_path, capsys, monkeypatch):
    from models.export import quantize
    from training.commands import export_bundle

    for module in (quantize, export_bundle):
        monkeypatch.setattr(module, "N_RANGE_IMAGES", 48)
        monkeypatch.setattr(module, "N_ACCURACY_IMAGES", 100)
    out = tmp_path / "out"
    options = ["--precision", "bfloat16", "--calibration", "synthetic:200"]
    assert main(["export", str(golden), "--out", str(out), *options]) == 0

    said, manifest = capsys.readouterr(), read_bundle(out).manifest
    assert said.out == f"{out}\n"
    assert manifest.id == "golden"
    variant = manifest.variants["bfloat16"]
    assert (variant.images, variant.measured_on) == (100, "200 synthetic images")
    assert (
        f"bfloat16: mean-centred cosine to float32, at least, for 99 % of images: mean "
        f"{variant.poolings['mean'].first_percentile:.5f}, last4 "
    ) in said.err
    assert (
        f"predictor.onnx {variant.accuracy['predictor.onnx'].first_percentile:.5f} (accuracy_floor 0.9995" in said.err
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "is a bundle: give --precision and --calibration to add a precision to it"),
        (("--precision", "int8"), "is a bundle: give --precision and --calibration"),
        (("--calibration", "synthetic:9"), "is a bundle: give --precision and --calibration"),
        (("--store", "float16"), "--store needs a checkpoint; "),
        (("--dataset-name", "x"), "--dataset-name needs a checkpoint; "),
        (("--to", "timm"), "--to needs a checkpoint; "),
    ],
)
def test_options_that_need_a_checkpoint_are_errors(golden, tmp_path, capsys, options, message):
    assert main(["export", str(golden), "--out", str(tmp_path / "out"), *options]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_bundle_is_found_by_its_name_unless_a_folder_here_has_it(tmp_path, monkeypatch):
    from pathlib import Path

    from models.bundle.reader import ZOO
    from training.commands.export_bundle import find_given_bundle

    monkeypatch.chdir(tmp_path)
    name = Path("fashion-mnist-nano")
    assert find_given_bundle(name) == ZOO / name
    name.mkdir()
    assert find_given_bundle(name) is None
    assert find_given_bundle(Path("nothing")) is None
