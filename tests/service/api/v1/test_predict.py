import base64
import io
import json

import numpy as np
import pytest
from PIL import Image

from models.bundle.reader import read_bundle
from models.runtimes.onnxruntime import Session
from tests.service.conftest import as_png

BOTH = ["predicted", "actual"]


def predict(client, data, **request):
    response = client.post("/v1/predict", files={"file": data}, data={"request": json.dumps(request)})
    assert response.status_code == 200, response.text
    return response.json()


def mask_of(array):
    return base64.b64encode(as_png(array)).decode()


def test_the_numbers_are_those_of_the_graphs(client, golden, image, png):
    """Predicted by hand: the context's tokens, then one block, then the layer-normed target tokens and their distance."""
    bundle = read_bundle(golden)
    answer = predict(client, png, targets=[{"patches": [5, 6]}, {"patches": [10]}], **{"return": BOTH})
    context = np.array([[i for i in range(16) if i not in (5, 6, 10)]])
    (tokens,) = Session(bundle.path("context.onnx")).run(["context_tokens"], pixels=image[None], context_ids=context)
    (full,) = Session(bundle.path("encoder.onnx")).run(["tokens"], pixels=image[None])

    assert answer["context_patches"] == context[0].tolist()
    assert answer["grid"] == [4, 4]
    for target, ids in zip(answer["targets"], ([5, 6], [10]), strict=True):
        inputs = {"context_tokens": tokens, "context_ids": context, "target_ids": np.array([ids])}
        (block,) = Session(bundle.path("predictor.onnx")).run(["predicted"], **inputs)
        actual = full[0, ids]
        actual = (actual - actual.mean(1, keepdims=True)) / np.sqrt(actual.var(1, keepdims=True) + 1e-5)
        difference = np.abs(block[0] - actual)
        energies = np.where(difference < 1, difference**2 / 2, difference - 0.5).mean(1)
        assert target["patches"] == ids
        assert np.allclose(target["predicted"], block[0], atol=1e-5)
        assert np.allclose(target["actual"], actual, atol=1e-5)
        assert np.allclose(target["energy_per_patch"], energies, atol=1e-5)
        assert target["energy"] == pytest.approx(energies.mean(), abs=1e-5)
        cosine = (block[0] * actual).sum(1) / np.linalg.norm(block[0], axis=1) / np.linalg.norm(actual, axis=1)
        assert target["cosine"] == pytest.approx(cosine.mean(), abs=1e-5)


def test_pixels_inside_a_target_change_nothing_in_its_prediction(client, image, png):
    """Nor in any other target's: hidden is hidden. What is there does change, and so does the energy."""
    changed = image.copy()
    changed[4:12, 4:12] = 255 - changed[4:12, 4:12]
    request = {"targets": [{"box": [0.25, 0.25, 0.75, 0.75]}, {"patches": [0]}], "return": BOTH}

    before, after = predict(client, png, **request), predict(client, as_png(changed), **request)

    assert before["targets"][0]["patches"] == [5, 6, 9, 10]
    for a, b in zip(before["targets"], after["targets"], strict=True):
        assert a["predicted"] == b["predicted"]
    assert before["targets"][0]["actual"] != after["targets"][0]["actual"]
    assert before["targets"][0]["energy"] != after["targets"][0]["energy"]


def test_pixels_outside_do(client, image, png):
    changed = image.copy()
    changed[0, 0] = 255 - changed[0, 0]
    request = {"targets": [{"patches": [5]}], "return": ["predicted"]}

    assert (
        predict(client, png, **request)["targets"][0]["predicted"]
        != predict(client, as_png(changed), **request)["targets"][0]["predicted"]
    )


def test_targets_do_not_see_one_another(client, png):
    """The same context given, a target's prediction is the same alone and beside a larger one."""
    context = {"patches": [0, 1, 2, 3]}
    together = predict(
        client, png, targets=[{"patches": [8]}, {"patches": [12, 13, 14]}], context=context, **{"return": BOTH}
    )
    alone = predict(client, png, targets=[{"patches": [8]}], context=context, **{"return": BOTH})

    assert np.allclose(together["targets"][0]["predicted"], alone["targets"][0]["predicted"], atol=1e-5)


def test_no_target_patch_is_ever_context(client, png):
    answer = predict(client, png, targets=[{"patches": [1, 2]}, {"patches": [3]}], context={"patches": [0, 1, 2, 3, 4]})
    assert answer["context_patches"] == [0, 4]


def test_box_patches_and_mask_name_the_same_region(client, png):
    mask = np.zeros((40, 40), dtype=np.uint8)
    mask[10:30, 10:20] = 7
    ways = [{"box": [0.25, 0.25, 0.5, 0.75]}, {"patches": [9, 5]}, {"mask": mask_of(mask)}]
    colour = {"mask": mask_of(np.dstack([mask * 0, mask * 0, mask, mask * 0 + 255]))}
    bits = io.BytesIO()
    Image.fromarray(mask > 0).save(bits, "PNG")
    one_bit = {"mask": base64.b64encode(bits.getvalue()).decode()}

    answers = [predict(client, png, targets=[way])["targets"][0] for way in (*ways, colour, one_bit)]
    for answer in answers:
        assert answer["patches"] == [5, 9]
        assert answer["box"] == [0.25, 0.25, 0.5, 0.75]


def test_json_query_and_base64_ways(client, png):
    targets = [{"patches": [3]}]
    text = base64.b64encode(png).decode()
    a = client.post(
        "/v1/predict", json={"image": text, "targets": targets, "return": ["predicted"], "encoding_format": "base64"}
    )
    b = client.post("/v1/predict", content=png, params={"targets": json.dumps(targets), "return": "predicted"})

    raw = np.frombuffer(base64.b64decode(a.json()["targets"][0]["predicted"]), "<f4").reshape(1, 32)
    assert np.allclose(raw, b.json()["targets"][0]["predicted"], atol=1e-5)


def test_a_region_partly_cut_away_is_a_warning(client, image):
    wide = as_png(np.tile(image, (1, 3, 1)))
    answer = predict(client, wide, targets=[{"box": [0.2, 0.0, 0.5, 0.5]}])

    assert [w["code"] for w in answer["warnings"]] == ["region_cut"]
    assert answer["warnings"][0]["target"] == 0
    context = predict(client, wide, targets=[{"box": [0.4, 0, 0.5, 0.5]}], context={"box": [0.2, 0, 0.6, 1]})
    assert [(w["code"], w["target"]) for w in context["warnings"]] == [("region_cut", None)]
    assert predict(client, wide, targets=[{"box": [0.2, 0.0, 0.5, 0.5]}], fit="squash")["warnings"] == []


def test_concurrent_predictions_of_different_sizes_do_not_mix(client, png):
    """They are padded to one batch; each must come out as alone."""
    from concurrent.futures import ThreadPoolExecutor

    requests = [
        {"targets": [{"patches": list(range(n))}, {"patches": [15]}], "return": ["predicted"]} for n in range(1, 13)
    ]
    alone = [predict(client, png, **request) for request in requests]
    with ThreadPoolExecutor(12) as pool:
        together = list(pool.map(lambda request: predict(client, png, **request), requests))

    for a, b in zip(alone, together, strict=True):
        for x, y in zip(a["targets"], b["targets"], strict=True):
            assert np.allclose(x["predicted"], y["predicted"], atol=1e-5)


def test_a_calibrated_bundle_gives_z_for_each_patch_and_target(golden, tmp_path, make_client, png):
    import shutil

    calibrated = shutil.copytree(golden, tmp_path / "calibrated")
    manifest = json.loads((calibrated / "manifest.json").read_text())
    mean, std = np.full((4, 4), 0.25), np.full((4, 4), 0.5)
    mean[1, 1], std[1, 1] = 0.125, 0.25
    calibration = {"mean": mean.tolist(), "std": std.tolist(), "masks": 8, "images": 10, "measured_on": "noise"}
    (calibrated / "manifest.json").write_text(
        json.dumps(manifest | {"format": 3, "probes": None, "calibration": calibration})
    )

    with make_client(bundle=(str(calibrated),)) as client:
        (target,) = predict(client, png, targets=[{"patches": [5, 6]}])["targets"]
    energies = np.array(target["energy_per_patch"])
    expected = [(energies[0] - 0.125) / 0.25, (energies[1] - 0.25) / 0.5]
    assert np.allclose(target["z_per_patch"], expected, atol=1e-6)
    assert target["z"] == pytest.approx(np.mean(expected), abs=1e-6)


def test_without_a_calibration_z_is_null(client, png):
    (target,) = predict(client, png, targets=[{"patches": [5]}])["targets"]
    assert (target["z"], target["z_per_patch"]) == (None, None)
