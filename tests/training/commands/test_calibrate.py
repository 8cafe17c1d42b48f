import json

import numpy as np
from PIL import Image

from ijepa.cli import main
from models.bundle.reader import read_bundle


def noise(folder, count=20):
    folder.mkdir()
    for i in range(count):
        pixels = np.random.default_rng(i).integers(0, 256, (4, 4, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((16, 16)).save(folder / f"{i}.png")
    return folder


def test_calibrate_writes_a_bundle_with_mean_and_standard_deviation(golden, tmp_path, capsys):
    images = noise(tmp_path / "images")
    arguments = ["calibrate", str(golden), "--data", f"folder:{images}", "--out", str(tmp_path / "out")]

    assert main([*arguments, "--masks", "12"]) == 0
    before, after = read_bundle(golden), read_bundle(tmp_path / "out")
    calibration = after.manifest.calibration
    assert before.manifest.calibration is None
    assert np.array(calibration.mean).shape == np.array(calibration.std).shape == (4, 4)
    assert np.isfinite(calibration.mean).all()
    assert (np.array(calibration.std) > 0).all()
    assert (calibration.images, calibration.masks) == (20, 12)
    changed = {name for name in after.manifest.files if after.manifest.files[name] != before.manifest.files[name]}
    assert changed == {"MODEL_CARD.md"}
    assert "Energies are calibrated on" in after.path("MODEL_CARD.md").read_text()
    assert main([*arguments, "--masks", "12", "--id", "golden-2"]) == 0
    again = read_bundle(tmp_path / "out")
    assert again.manifest.id == "golden-2"
    assert before.path("MODEL_CARD.md").read_text().startswith("# golden\n")
    assert again.path("MODEL_CARD.md").read_text().startswith("# golden-2\n")
    assert main([*arguments, "--out", str(images)]) == 1
    assert "is not empty and is not a bundle" in capsys.readouterr().err


def test_calibrating_again_replaces_the_line_of_the_card(golden, tmp_path):
    images = noise(tmp_path / "images")
    first, second = tmp_path / "first", tmp_path / "second"
    assert main(["calibrate", str(golden), "--data", str(images), "--out", str(first), "--masks", "12"]) == 0
    assert main(["calibrate", str(first), "--data", str(images), "--out", str(second), "--masks", "13"]) == 0
    card = (second / "MODEL_CARD.md").read_text()
    assert card.count("Energies are calibrated on") == 1
    assert "with 13 draws of blocks each" in card
    assert card.startswith((golden / "MODEL_CARD.md").read_text().rstrip())


def test_photographs_calibrate_and_what_is_no_photograph_is_named(golden, photos, tmp_path, capsys):
    folder = tmp_path / "photos"
    folder.mkdir()
    for path in photos.iterdir():
        (folder / path.name).symlink_to(path)
    (folder / "notes.txt").write_text("x")
    (folder / "torn.jpg").write_bytes(min(photos.iterdir()).read_bytes()[:900])
    assert main(["calibrate", str(golden), "--data", str(folder), "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr()
    assert said.out == f"{tmp_path / 'out'}\n"
    assert "1 of 101 images were left out:" in said.err
    assert "torn.jpg cannot be read" in said.err
    assert said.err.count("left out of 101 images of a folder named 'photos': 1 .txt\n") == 1
    counted = "100 of 101 images of a folder named 'photos', 1 could not be read"
    assert f"energies of {counted}: " in said.err
    card = (tmp_path / "out" / "MODEL_CARD.md").read_text()
    assert card.endswith(f"Energies are calibrated on {counted}, with 8 draws of blocks each.\n")
    calibration = json.loads((tmp_path / "out" / "manifest.json").read_text())["calibration"]
    assert calibration["images"] == 100
    assert np.isfinite(calibration["std"]).all()


def test_wrong_arguments_are_found_before_anything_is_read(golden, tmp_path, capsys):
    arguments = ["calibrate", str(golden), "--data", str(tmp_path / "nowhere"), "--out", str(tmp_path / "out")]
    assert main([*arguments, "--masks", "0"]) == 2
    assert "--masks is 0, at least 1" in capsys.readouterr().err
