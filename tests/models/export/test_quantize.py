"""Other precisions lie beside float32, and are as close to it as the manifest says."""

import io
import shutil

import numpy as np
import pytest
from PIL import Image

from models.errors import ConfigError
from tests.golden.make import write_tiny_checkpoint
from tests.models.export.images import images


@pytest.fixture(scope="module", params=["inside", "beside"])
def bundle(request, tmp_path_factory):
    """With weights inside the graphs, and beside them as those of large networks are."""
    from models.bundle.reader import read_bundle
    from models.checkpoint.store import read_checkpoint
    from models.export import onnx_files
    from models.export.pipeline import export_bundle

    root = tmp_path_factory.mktemp("precisions")
    checkpoint = read_checkpoint(write_tiny_checkpoint(root / "step"))
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "beside":
            patch.setattr(onnx_files, "MAX_INLINE_BYTES", 1)
        export_bundle(
            checkpoint,
            root / "bundle",
            bundle_id="tiny",
            weights="float16",
            precisions=("float16", "int8", "bfloat16"),
            images=images(1256),
            whiten=images(300),
        )
    bundle = read_bundle(root / "bundle")
    beside = {name for name in bundle.manifest.files if name.endswith(".data")}
    assert len(beside) == (9 if request.param == "beside" else 0)
    return bundle


def test_every_graph_is_there_in_every_precision_and_measured(bundle):
    for precision, variant in bundle.manifest.variants.items():
        assert variant.accuracy.keys() == {"encoder.onnx", "context.onnx", "predictor.onnx"}
        assert variant.images == 1000
        assert variant.poolings.keys() == bundle.manifest.poolings.keys()
        assert min(each.first_percentile for each in variant.poolings.values()) == (
            variant.accuracy["encoder.onnx"].first_percentile
        )
        for name, accuracy in variant.accuracy.items():
            assert bundle.path(name, precision).is_file()
            assert 0.9 < accuracy.first_percentile < accuracy.mean <= 1
    assert bundle.manifest.variants["float16"].worst > 0.9999
    assert bundle.manifest.variants["int8"].poolings["mean"].first_percentile > 0.9995


def test_bfloat16_is_measured_and_has_no_files(bundle):
    variant = bundle.manifest.variants["bfloat16"]
    assert 0.99 < variant.worst < bundle.manifest.variants["float16"].worst
    assert bundle.path("encoder.onnx", "bfloat16") == bundle.path("encoder.onnx")
    assert not [name for name in bundle.manifest.files if "bfloat16" in name]
    assert 1e-3 <= bundle.manifest.tolerance["bfloat16"] < 0.2
    assert "made-up images" in bundle.path("MODEL_CARD.md").read_text()


def test_the_measured_accuracy_is_that_of_the_files(bundle):
    """Worked out anew from the two graphs, on the images that ranges were not found with, of the worst pooling."""
    from models.runtimes.onnxruntime import Session

    pixels = images(1256).pixels[256:1256]
    accuracy, cosines = bundle.manifest.variants["int8"].accuracy["encoder.onnx"], {}
    for pooling in bundle.manifest.poolings:
        exact, int8 = (
            Session(bundle.path("encoder.onnx", precision)).run([pooling], pixels=pixels)[0]
            for precision in ("float32", "int8")
        )
        left, right = exact - exact.mean(0), int8 - exact.mean(0)
        cosines[pooling] = (left * right).sum(1) / np.linalg.norm(left, axis=1) / np.linalg.norm(right, axis=1)
        assert not np.array_equal(exact, int8)

    worst = min(cosines, key=lambda pooling: np.percentile(cosines[pooling], 1))
    assert worst.endswith("-whitened")
    assert np.percentile(cosines[worst], 1) == pytest.approx(accuracy.first_percentile, abs=2e-4)
    assert cosines[worst].mean() == pytest.approx(accuracy.mean, abs=2e-4)


def test_an_int8_image_does_not_depend_on_its_neighbours(bundle):
    from models.runtimes.onnxruntime import Session

    encoder, pixels = Session(bundle.path("encoder.onnx", "int8")), images(8).pixels
    bright = np.full_like(pixels, 255)
    bright[0] = pixels[0]
    (alone,), (among,), (other,) = (encoder.run(["mean"], pixels=batch) for batch in (pixels[:1], pixels, bright))

    assert np.abs(alone[0] - among[0]).max() <= 1e-5 * np.abs(alone[0]).max()
    assert np.abs(alone[0] - other[0]).max() <= 1e-5 * np.abs(alone[0]).max()


def test_products_with_weights_are_int8_and_whitenings_are_not(bundle):
    import onnx

    graph = onnx.load(bundle.path("encoder.onnx", "int8")).graph
    products = [node.input[1] for node in graph.node if node.op_type == "MatMul"]
    assert {"whitenings.mean.matrix", "whitenings.last4.matrix"} <= set(products)
    int8 = [
        tensor for tensor in graph.initializer if tensor.data_type == onnx.TensorProto.INT8 and len(tensor.dims) == 2
    ]
    assert len(int8) == len([name for name in products if name.endswith(".weight")])
    assert 12 <= len(int8) <= 16  # at most a quarter may stay float32


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_a_server_computes_the_precision_that_was_asked_for(bundle, precision):
    """Its canonical image is checked within that precision's tolerance, and the API says which it is."""
    from fastapi.testclient import TestClient

    from models.runtimes.onnxruntime import Session
    from service.app import create_app
    from service.settings import read_settings
    from tests.service.conftest import wait_until_ready

    settings = read_settings(bundle=(str(bundle.folder),), runtime="onnxruntime", precision=precision)
    file = io.BytesIO()
    Image.fromarray(images(1).pixels[0]).save(file, "PNG")
    with TestClient(create_app(settings), "http://localhost") as client:
        wait_until_ready(client)
        described = client.get("/v1/models/tiny").json()
        answer = client.post(
            "/v1/images/embeddings", content=file.getvalue(), headers={"content-type": "image/png"}
        ).json()
    given = np.array(answer["data"][0]["embedding"])
    off = {
        other: np.abs(
            given - Session(bundle.path("encoder.onnx", other)).run(["mean"], pixels=images(1).pixels)[0]
        ).max()
        for other in ("float32", "float16", "int8")
    }
    assert off[precision] < 1e-5
    assert min(off, key=lambda other: off[other]) == precision
    assert described["precision"] == precision
    assert set(described["variants"]) == {"float16", "int8", "bfloat16"}


def test_too_few_images_are_an_error_that_counts(tmp_path):
    from models.checkpoint.store import read_checkpoint
    from models.export.pipeline import export_bundle

    checkpoint = read_checkpoint(write_tiny_checkpoint(tmp_path / "step"))
    with pytest.raises(ConfigError, match="has 1,255 images; --precision needs 1,256"):
        export_bundle(checkpoint, tmp_path / "out", bundle_id="x", precisions=("int8",), images=images(1255))
    assert not (tmp_path / "out").exists()


def test_a_toy_precision_is_a_choice_of_the_command_written_and_measured(golden, tmp_path, monkeypatch):
    """A new member of the family is a function and a line of the table."""
    import argparse

    from models.bundle.reader import read_bundle, variant_file
    from models.export import quantize
    from training.commands import export

    monkeypatch.setitem(quantize.QUANTIZERS, "toy", lambda source, out, _: shutil.copyfile(source, out))
    parser = argparse.ArgumentParser()
    export.add_arguments(parser)
    assert parser.parse_args(["step", "--out", "out", "--precision", "toy"]).precision == ["toy"]

    bundle = read_bundle(shutil.copytree(golden, tmp_path / "bundle"))
    graphs = list(bundle.manifest.parity)
    canonical, encoder = bundle.canonical(), bundle.manifest.model.encoder
    variant, tolerance = quantize.add_precision(
        bundle.folder, "toy", graphs, encoder, images(1256), canonical, ["mean", "last4"]
    )
    assert (bundle.folder / variant_file("encoder.onnx", "toy")).is_file()
    assert variant.accuracy.keys() == set(graphs)
    assert variant.worst == pytest.approx(1)
    assert tolerance == 1e-3
