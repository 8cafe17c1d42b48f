"""`ijepa.load` and the methods of its model, against the functions of `models`."""

import numpy as np
import pytest
from PIL import Image

import ijepa
from ijepa.errors import BundleError, ConfigError, OptionError, RegionError
from models.images.grid import Frame, from_box
from models.images.preprocess import read_pixels, to_pixels, view_of
from models.inference.energy import draw_blocks, energy_maps
from models.inference.prediction import Regions, predict_regions
from tests.ijepa.conftest import as_png


def test_a_bundle_is_found_by_name_and_by_folder(golden):
    assert ijepa.load("fashion-mnist-nano").manifest.id == "fashion-mnist-nano"
    model = ijepa.load(str(golden), runtime="onnxruntime", precision="float32", threads=1)
    assert (model.grid, model.manifest.id) == ((4, 4), "golden")
    assert "golden" in repr(model)


def test_what_cannot_be_loaded_is_said(golden, tmp_path):
    with pytest.raises(BundleError, match="'nothing'"):
        ijepa.load("nothing")
    with pytest.raises(ConfigError, match="'abacus' is unknown"):
        ijepa.load(golden, runtime="abacus")


def test_an_altered_bundle_does_not_load(golden, tmp_path):
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(golden, copy)
    with (copy / "encoder.onnx").open("ab") as file:
        file.write(b"x")
    with pytest.raises(BundleError, match=r"encoder\.onnx"):
        ijepa.load(copy)


def test_vectors_are_what_the_runtime_gives_for_the_preprocessed_image(model, image):
    pixels = read_pixels(as_png(image), model.manifest.model.pixels)[0][None]
    outputs = model.runtime.encode(pixels, ["mean", "last4", "tokens"])
    np.testing.assert_array_equal(model.embed(image), outputs["mean"])
    np.testing.assert_array_equal(model.embed(image, pooling="last4"), outputs["last4"])
    patches = model.embed(image, output="patches")
    assert patches.shape == (1, 4, 4, 32)
    np.testing.assert_array_equal(patches.reshape(1, 16, 32), outputs["tokens"])


def test_options_do_what_they_say(model, image):
    lengths = np.linalg.norm(model.embed(image, output="patches", normalize=True), axis=-1)
    np.testing.assert_allclose(lengths, 1, atol=1e-6)
    assert model.embed(image, dtype="float16").dtype == np.float16
    assert not np.array_equal(model.embed(image, fit="squash"), model.embed(image))
    squashed = to_pixels(Image.fromarray(image), model.manifest.model.pixels, "squash")
    np.testing.assert_array_equal(model.embed(image, fit="squash"), model.embed(squashed))


@pytest.mark.parametrize("count", [1, 4, 5, 23])
def test_any_number_of_images_in_order(model, count):
    images = [np.full((16, 16, 3), 10 * i, np.uint8) for i in range(count)]
    expected = np.concatenate([model.embed(image) for image in images])
    np.testing.assert_allclose(model.embed(iter(images), batch_size=4), expected, rtol=1e-5, atol=1e-5)
    assert model.embed(images, output="patches", batch_size=4).shape == (count, 4, 4, 32)


def test_without_a_batch_size_it_is_the_best_of_the_runtime(model, monkeypatch):
    sizes, encode = [], model.runtime.encode
    monkeypatch.setattr(model.runtime, "batch_size", 3)
    monkeypatch.setattr(
        model.runtime, "encode", lambda pixels, outputs: sizes.append(len(pixels)) or encode(pixels, outputs)
    )
    images = [np.zeros((16, 16, 3), np.uint8)] * 7
    model.embed(images)
    model.embed(images, batch_size=5)
    assert sizes == [3, 3, 1, 5, 2]


@pytest.mark.parametrize(
    "options",
    [{"output": "tokens"}, {"pooling": "max"}, {"dtype": "int8"}, {"fit": "stretch"}, {"batch_size": 0}],
    ids=str,
)
def test_an_unknown_option_is_named_before_an_image_is_read(model, options):
    with pytest.raises(OptionError, match=str(next(iter(options.values())))) as caught:
        model.embed("missing.png", **options)
    assert caught.value.option == next(iter(options))


def test_photographs_are_embedded_as_one_by_one(model, photos):
    paths = sorted(path for path in photos.iterdir() if path.suffix == ".JPEG")
    assert len(paths) == 100
    pixels = np.stack([read_pixels(path.read_bytes(), model.manifest.model.pixels)[0] for path in paths])
    expected = model.runtime.encode(pixels, ["mean"])["mean"]
    np.testing.assert_allclose(model.embed(paths), expected, rtol=1e-5, atol=1e-5)


def test_a_box_is_predicted_as_models_inference_does(model, image):
    box, preprocessing = [0.3, 0.3, 0.6, 0.7], model.manifest.model.pixels
    prediction = model.predict(image, boxes=[box, [0.2, 0.0, 0.4, 0.2]])
    size = (40, 24)
    frame = Frame(size, view_of(size, preprocessing), model.grid)
    regions = [from_box(each, frame).patches for each in (box, [0.2, 0.0, 0.4, 0.2])]
    context = np.setdiff1d(np.arange(16), np.concatenate(regions))
    pixels = read_pixels(as_png(image), preprocessing)[0][None]
    expected = predict_regions(model.runtime, model.space, pixels, [Regions(context, regions)])[0]
    assert prediction.grid == (4, 4)
    np.testing.assert_array_equal(prediction.context_patches, context)
    for target, other in zip(prediction.targets, expected, strict=True):
        for name in ("patches", "predicted", "actual", "energy_per_patch"):
            np.testing.assert_array_equal(getattr(target, name), getattr(other, name))
        assert (target.energy, target.cosine, target.z) == (other.energy, other.cosine, None)


def test_a_region_is_the_same_as_box_patches_array_and_png(model, image):
    mask = np.zeros((24, 40), dtype=bool)
    mask[6:18, 14:26] = True
    box = {"box": [14 / 40, 6 / 24, 26 / 40, 18 / 24]}
    by_box = model.predict(image, targets=[box]).targets[0]
    others = [{"patches": by_box.patches}, {"patches": by_box.patches.tolist()}, {"mask": mask}]
    others += [{"mask": mask.astype(np.float32)}, {"mask": as_png(mask.astype(np.uint8) * 255)}]
    for other in others:
        target = model.predict(image, targets=[other]).targets[0]
        np.testing.assert_array_equal(target.patches, by_box.patches)
        np.testing.assert_array_equal(target.predicted, by_box.predicted)
        assert target.box == by_box.box


def test_the_context_can_be_given_and_never_holds_a_target(model, image):
    prediction = model.predict(image, [{"patches": [5]}], {"patches": [4, 5, 6]})
    np.testing.assert_array_equal(prediction.context_patches, [4, 6])


def test_what_the_crop_cuts_is_a_warning(model, image):
    prediction = model.predict(image, boxes=[[0.0, 0.0, 0.5, 0.5]])
    assert prediction.warnings == (
        "boxes[0] lies partly outside the centre crop; only what the model sees of it was used",
    )
    assert model.predict(image, boxes=[[0.0, 0.0, 0.5, 0.5]], fit="squash").warnings == ()


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({}, OptionError, "either targets or boxes"),
        ({"targets": [{"patches": [1]}], "boxes": [[0, 0, 1, 1]]}, OptionError, "either targets or boxes"),
        ({"boxes": []}, OptionError, "at least one"),
        ({"targets": {"patches": [1]}}, OptionError, "expected a list"),
        ({"boxes": [0.1, 0.1, 0.5, 0.5]}, RegionError, r"boxes\[0\]\.box is 0\.1"),
        ({"boxes": [[0.1, 0.1, 0.5]]}, RegionError, r"boxes\[0\]: a box is four"),
        ({"boxes": [[0.5, 0.5, 0.5, 0.6]]}, RegionError, r"boxes\[0\]: .*empty"),
        ({"targets": [{"patches": [1]}, {"patches": [16]}]}, RegionError, r"targets\[1\]: patch 16 is not on the 4x4"),
        ({"targets": [{"patches": [1.5]}]}, RegionError, r"targets\[0\]\.patches is \[1\.5\]"),
        ({"targets": [{"patches": [1], "box": [0, 0, 1, 1]}]}, RegionError, r"targets\[0\] is .*expected"),
        ({"targets": [{"circle": 1}]}, RegionError, r"targets\[0\] is "),
        ({"targets": [{"mask": b"x"}]}, RegionError, r"targets\[0\]\.mask: not a PNG"),
        ({"targets": [{"mask": np.zeros((4, 4, 3))}]}, RegionError, r"targets\[0\]\.mask is array\(\[\[\[0\., .*, expected"),
        ({"targets": [{"patches": list(range(16))}]}, RegionError, "no patch as context"),
        ({"boxes": [[0.3, 0.3, 0.6, 0.6]], "context": {"patches": [99]}}, RegionError, "context: patch 99"),
        ({"boxes": [[0.3, 0.3, 0.6, 0.6]], "fit": "x"}, OptionError, "fit is 'x'"),
    ],
    ids=str,
)  # fmt: skip
def test_a_region_that_cannot_be_used_is_named(model, image, arguments, kind, message):
    with pytest.raises(kind, match=message):
        model.predict(image, **arguments)


def test_the_energy_is_the_mean_over_draws_and_the_same_for_the_same_seed(model, image):
    energy = model.energy(image, masks=9, seed=3)
    pixels = read_pixels(as_png(image), model.manifest.model.pixels)[0][None]
    draws = draw_blocks(model.manifest.masking, model.grid, 9, 3)
    np.testing.assert_array_equal(energy.energy, energy_maps(model.runtime, model.manifest, pixels, draws)[0])
    assert (energy.energy.shape, energy.masks, energy.seed, energy.z) == ((4, 4), 9, 3, None)
    assert energy.mean == energy.energy.mean()
    np.testing.assert_array_equal(model.energy(image, masks=9, seed=3).energy, energy.energy)
    assert not np.array_equal(model.energy(image, masks=9, seed=4).energy, energy.energy)


def test_too_few_draws_are_an_error_with_the_least_number(model, image):
    with pytest.raises(OptionError, match=r"masks is 1: with seed 0, at least (\d+) draws are needed") as caught:
        model.energy(image, masks=1)
    least = int(str(caught.value).split("at least ")[1].split()[0])
    assert np.isfinite(model.energy(image, masks=least).energy).all()
    with pytest.raises(OptionError, match=f"at least {least} draws"):
        model.energy(image, masks=least - 1)


def test_without_a_number_there_are_8_draws_or_as_many_as_hide_every_patch(model, image, monkeypatch):
    assert model.energy(image).masks == 8
    from ijepa import model as module

    monkeypatch.setattr(module, "DEFAULT_MASKS", 1)
    assert model.energy(image).masks > 1


@pytest.mark.parametrize("arguments", [{"masks": 0}, {"masks": 2.5}, {"seed": -1}], ids=str)
def test_wrong_draws_are_named(model, image, arguments):
    with pytest.raises(OptionError, match=f"{next(iter(arguments))} is "):
        model.energy(image, **arguments)


def test_a_calibrated_model_says_how_unusual_an_energy_is(model, image):
    from models.bundle.manifest import Calibration

    usual = Calibration(mean=[[0.5] * 4] * 4, std=[[0.25] * 4] * 4, masks=8, images=2, measured_on="two images")
    manifest = model.manifest.model_copy(update={"calibration": usual})
    calibrated = ijepa.Model(model.bundle._replace(manifest=manifest), model.runtime)
    energy = calibrated.energy(image)
    np.testing.assert_allclose(energy.z, (energy.energy - 0.5) / 0.25)
    target = calibrated.predict(image, targets=[{"patches": [5, 6]}]).targets[0]
    np.testing.assert_allclose(target.z_per_patch, (target.energy_per_patch - 0.5) / 0.25)
    assert target.z == pytest.approx(target.z_per_patch.mean())


def test_a_bundle_without_a_predictor_embeds_only(model, image):
    files = {
        name: file for name, file in model.manifest.files.items() if name not in ("predictor.onnx", "context.onnx")
    }
    manifest = model.manifest.model_copy(update={"files": files})
    encoder = ijepa.Model(model.bundle._replace(manifest=manifest), model.runtime)
    assert encoder.embed(image).shape == (1, 32)
    for call in (lambda: encoder.predict(image, boxes=[[0, 0, 0.5, 0.5]]), lambda: encoder.energy(image)):
        with pytest.raises(OptionError, match="golden has no predictor; it can only embed"):
            call()


def test_photographs_have_the_vectors_that_the_command_writes(model, photos, golden, tmp_path, capsys):
    import pyarrow.parquet as pq

    from ijepa.cli import main

    out = tmp_path / "job"
    assert main(["embed", str(photos), "--out", str(out), "--bundle", str(golden), "--runtime", "onnxruntime"]) == 0
    table = pq.read_table(out)
    assert table["status"].to_pylist() == ["ok"] * 100
    written = np.stack(table["embedding"].to_numpy())
    paths = [photos / name for name in table["id"].to_pylist()]
    np.testing.assert_allclose(model.embed(paths), written, rtol=1e-5, atol=1e-5)
