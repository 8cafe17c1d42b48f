"""Graphs in QDQ form, with the integers of GPTQ."""

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from models.errors import ExportError
from models.export import int8
from models.export.accuracy import features
from models.export.qdq import products_with_weights, uint8_range, write_qdq
from models.inference.accuracy import centred_cosines
from models.runtimes.onnxruntime import Session
from tests.models.export.graphs import PRODUCTS, batches, save_mlp


def feed():
    return iter(batches())


def tensors(path):
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(path).graph.initializer}


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_the_stored_integers_are_those_of_gptq_and_the_outputs_close(tmp_path, monkeypatch, bias, half):
    """Also where weights are stored as float16 and cast, and where a product has no bias to correct."""
    monkeypatch.setattr(int8, "MAX_LOSS", 0.1)
    source, out = save_mlp(tmp_path / "a.onnx", bias=bias, half=half), tmp_path / "a.int8.onnx"
    products = int8.quantize_products(source, feed)
    int8.write_int8(source, out, feed)

    stored = tensors(out)
    for name in PRODUCTS:
        assert (stored[f"{name}.weight_integers"] == products[name].weight.integers).all()
        assert (stored[f"{name}.weight_scale"] == products[name].weight.scale).all()
        assert stored[f"{name}.input_zero"].dtype == np.uint8
    assert not [name for name in stored if name.startswith("w")]
    onnx.checker.check_model(onnx.load(out), full_check=True)
    session = Session(out)
    assert (session.inputs, session.outputs) == (("x",), ("y",))
    (x,) = batches(1)
    exact, other = (Session(path).run(["y"], **x)[0] for path in (source, out))
    assert 0 < np.abs(exact - other).max() < 0.05 * np.abs(exact).max()
    assert abs((exact - other).mean()) < 0.003 * exact.std()
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["a.int8.onnx", "a.onnx"]


def test_a_product_that_alone_spoils_the_outputs_stays_float32(tmp_path, monkeypatch):
    monkeypatch.setattr(int8, "MAX_LOSS", 0.02)
    source, out = save_mlp(tmp_path / "a.onnx", hot=True), tmp_path / "a.int8.onnx"
    products = int8.quantize_products(source, feed)
    write_qdq(source, tmp_path / "all.onnx", products)
    int8.write_int8(source, out, feed)

    assert int8.sensitive_products(source, products, batches()) == ["p2"]
    assert "w2" in tensors(out)
    assert "p3.weight_integers" in tensors(out)
    exact, everything, chosen = (features(path, batches())["y"] for path in (source, tmp_path / "all.onnx", out))
    assert np.percentile(centred_cosines(exact, everything), 1) < 1 - int8.MAX_LOSS
    assert np.percentile(centred_cosines(exact, chosen), 1) > 1 - int8.MAX_LOSS


def test_covariances_that_do_not_fit_into_memory_are_collected_in_several_passes(tmp_path, monkeypatch):
    source = save_mlp(tmp_path / "a.onnx")
    together = int8.quantize_products(source, feed)
    passes = []
    monkeypatch.setattr(int8, "MAX_MOMENTS_BYTES", 32**2 * 4)
    in_parts = int8.quantize_products(source, lambda: passes.append(1) or feed())
    assert len(passes) == 4
    for name, product in together.items():
        assert (in_parts[name].weight.integers == product.weight.integers).all()


def test_values_that_are_not_finite_and_graphs_without_products_are_errors(tmp_path):
    source = save_mlp(tmp_path / "a.onnx")
    with pytest.raises(ExportError, match=r"a\.onnx has values that are not finite; nothing was written"):
        int8.write_int8(source, tmp_path / "out.onnx", lambda: iter([{"x": np.full((1, 1, 8), np.nan, np.float32)}]))
    model = onnx.load(source)
    for node in model.graph.node:
        if node.op_type == "MatMul":
            node.input[1] = "whitenings." + node.input[1]
    for tensor in model.graph.initializer:
        if tensor.name.startswith("w"):
            tensor.name = "whitenings." + tensor.name
    onnx.save(model, source)
    with pytest.raises(ExportError, match=r"a\.onnx has no product with weights"):
        int8.write_int8(source, tmp_path / "out.onnx", feed)


def test_products_of_activations_are_not_products_with_weights(golden):
    import onnx_ir as ir

    graph = ir.load(golden / "encoder.onnx").graph
    products = products_with_weights(graph)
    assert len(products) == 4 * 4
    assert len([node for node in graph if node.op_type == "MatMul"]) == 4 * 6


@pytest.mark.parametrize(
    ("minimum", "maximum", "zero"), [(-1, 1, 127), (-0.17, 5, 8), (2, 5, 0), (-3, -1, 255), (0, 0, 0)]
)
def test_a_uint8_range_covers_zero_and_both_ends(minimum, maximum, zero):
    scale, point = uint8_range(minimum, maximum)
    assert point == zero
    ends = (np.array([0, 255]) - int(point)) * scale
    assert ends[0] <= min(minimum, 0) + scale / 2
    assert ends[1] >= max(maximum, 0) - scale / 2


def test_int8_of_the_bundled_model_is_above_its_accuracy_floor(fashion_mnist, tmp_path):
    """Of a trained network: its first MLP stays float32, with it the cosine would be .996."""
    from models.bundle.reader import ZOO, read_bundle
    from models.export.accuracy import BatchesOf, measure_accuracy
    from models.images.sources.idx import read_idx

    bundle, out = read_bundle(ZOO / "fashion-mnist-nano"), tmp_path / "encoder.onnx"
    folder, encoder = bundle.folder, bundle.manifest.model.encoder
    pixels = read_idx(fashion_mnist / "t10k-images-idx3-ubyte.gz")[:528, :, :, None]
    int8.write_int8(bundle.path("encoder.onnx"), out, BatchesOf(tmp_path, "encoder.onnx", encoder, pixels[:128]))

    measured = measure_accuracy(
        "int8", folder / "encoder.onnx", out, BatchesOf(folder, "encoder.onnx", encoder, pixels[128:])
    )
    assert min(measured[name].first_percentile for name in ("mean", "last4")) > bundle.manifest.accuracy_floor
    assert len([name for name in tensors(out) if name.endswith("weight_integers")]) == 6 * 4 - 2
