"""`ijepa export`: what the options do, and what is reported."""

import numpy as np
import pytest
from PIL import Image

from ijepa.cli import main
from tests.golden.make import write_tiny_checkpoint
from tests.training.commands.test_calibrate import noise


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


def test_an_image_that_cannot_be_read_is_left_out_of_a_whitening_and_named(
    export, tmp_path, capsys, monkeypatch, one_thread
):
    from models.bundle.reader import read_bundle
    from models.export import pipeline

    monkeypatch.setattr(pipeline, "MIN_WHITENING_IMAGES", 20)
    folder = noise(tmp_path / "photos", 24)
    (folder / "torn.png").write_bytes((folder / "0.png").read_bytes()[:60])
    (folder / "notes.txt").write_text("x")
    (folder / "1.png").rename(folder / "image")

    assert export("--whiten", str(folder)) == 0
    said = capsys.readouterr().err
    assert "1 of 25 images were left out:\n" in said
    assert "torn.png cannot be read" in said
    assert said.count("left out of 25 images of a folder named 'photos': 1 .txt\n") == 1
    whitening = read_bundle(tmp_path / "out").manifest.whitening
    assert (whitening.images, whitening.measured_on) == (
        24,
        "25 images of a folder named 'photos', 1 of which cannot be read",
    )
    assert export("--whiten", str(folder), "--by-suffix") == 0
    assert read_bundle(tmp_path / "out").manifest.whitening.images == 23


def jpegs(folder, count, side=70):
    """Coarse noise, of which scaled decoding keeps everything, with fine noise of a few grey values."""
    folder.mkdir()
    for i in range(count):
        rng = np.random.default_rng(i)
        coarse = Image.fromarray(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)).resize(
            (side, side), Image.Resampling.BICUBIC
        )
        fine = np.asarray(coarse).astype(int) + rng.integers(-9, 10, (side, side, 3))
        Image.fromarray(fine.clip(0, 255).astype(np.uint8)).save(folder / f"{i}.jpg", quality=95, subsampling=0)
    return folder


@pytest.mark.parametrize(("accuracy_floor", "decoding", "said"), [(0.9, "scaled", "used"), (1.0, "exact", "not used")])
def test_jpegs_are_decoded_at_a_smaller_scale_where_embeddings_stay_accurate(
    export, tmp_path, capsys, monkeypatch, one_thread, accuracy_floor, decoding, said
):
    from models.bundle.manifest import ManifestDraft
    from models.bundle.reader import read_bundle
    from models.export import pipeline

    def draft(**fields):
        return ManifestDraft(**fields, accuracy_floor=accuracy_floor)

    monkeypatch.setattr(pipeline, "ManifestDraft", draft)
    folder = jpegs(tmp_path / "large", 100)
    Image.new("RGB", (20, 20)).save(folder / "small.jpg")
    Image.new("RGB", (90, 90)).save(folder / "no.png")
    (folder / "torn.jpg").write_bytes((folder / "0.jpg").read_bytes()[:700])

    assert export("--scaled-decoding", str(folder)) == 0
    manifest = read_bundle(tmp_path / "out").manifest
    measured = manifest.scaled_decoding
    assert manifest.model.pixels.decoding == decoding
    assert (measured.images, measured.measured_on) == (100, "103 images of a folder named 'large'")
    assert 0.9 < measured.accuracy.first_percentile < measured.accuracy.mean < 1
    err = capsys.readouterr().err
    assert f"at least {measured.accuracy.first_percentile:.5f} for 99 % of 100 large JPEGs; {said}" in err
    assert "1 of 103 images were left out:\n" in err
    card = (tmp_path / "out" / "MODEL_CARD.md").read_text()
    assert f"JPEGs decoded at a smaller scale ({said}), on 100 images of 103 images of a folder named 'large'" in card


def test_scaled_decoding_is_measured_on_a_hundred_jpegs_that_it_affects(export, tmp_path, capsys):
    assert export("--scaled-decoding", str(jpegs(tmp_path / "few", 3))) == 1
    assert (
        "3 images of a folder named 'few': 3 are JPEGs large enough to be decoded at a smaller scale for 16x16 pixels; "
        "--scaled-decoding needs at least 100 of them" in capsys.readouterr().err
    )
    assert not (tmp_path / "out").exists()


def test_images_of_which_none_can_be_read_are_an_error(export, tmp_path, capsys):
    (tmp_path / "torn.png").write_bytes(b"x")
    assert export("--whiten", str(tmp_path / "torn.png")) == 1
    assert "none of 1 images of a folder named 'torn.png' can be read (" in capsys.readouterr().err


def test_broken_images_are_replaced_by_others_of_the_source(tmp_path):
    from models.images.preprocess import Preprocessing
    from models.images.sources.base import ListOptions
    from models.progress import no_progress
    from training.commands.images import read_images

    folder = noise(tmp_path / "images", 6)

    def read(limit):
        return read_images(str(folder), ListOptions(), Preprocessing(size=(16, 16)), limit, no_progress).pixels

    before = read(6)
    assert (read(4) == before[:4]).all()
    order = np.random.default_rng(0).permutation(6)
    (folder / f"{order[0]}.png").write_bytes(b"x")
    assert (read(4) == before[1:5]).all()


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
        (("--scaled-decoding", "x", "--to", "timm"), 2, "--scaled-decoding applies to bundles"),
        (("--by-suffix", "--to", "timm"), 2, "--by-suffix applies to bundles"),
    ],
)
def test_options_that_cannot_mean_anything_are_errors(export, tmp_path, capsys, options, code, message):
    assert export(*options) == code
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
