import numpy as np
import onnx

from models.export.bfloat16 import write_bfloat16
from models.runtimes.onnxruntime import Session
from tests.models.export.graphs import batches, save_mlp


def rounded(values):
    """To the nearest value of 8 significant bits, ties to even."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000).astype(np.uint32).view(np.float32)


def test_weights_and_results_are_rounded_and_products_are_exact(tmp_path):
    """A product is rounded once its bias is added, as where a runtime adds the bias within the product."""
    source, out = save_mlp(tmp_path / "a.onnx"), tmp_path / "out.onnx"
    write_bfloat16(source, out, lambda: iter(()))
    w = {t.name: onnx.numpy_helper.to_array(t) for t in onnx.load(source).graph.initializer}
    x = rounded(batches(1)[0]["x"])
    expected = x
    for i in range(3):
        expected = np.maximum(rounded(expected @ rounded(w[f"w{i}"]) + w[f"b{i}"]), 0)
    expected = expected @ rounded(w["w3"])

    session = Session(out)
    assert session.outputs == ("y",)
    (y,) = session.run(["y"], x=x)
    off = np.abs(y - Session(source).run(["y"], x=x)[0])
    # A sum close to the middle of two values may be rounded to the other one.
    assert np.median(np.abs(y - expected)) < 1e-5
    assert np.mean(np.abs(y - expected)) < np.mean(off) / 4


def test_ids_are_left_alone_and_every_output_keeps_its_name(golden, tmp_path):
    pixels, ids = np.zeros((2, 16, 16, 3), np.uint8), np.array([[3, 1, -1], [0, 2, 15]])
    for name, inputs in (("encoder.onnx", {}), ("context.onnx", {"context_ids": ids})):
        write_bfloat16(golden / name, tmp_path / name, lambda: iter(()))
        exact, other = Session(golden / name), Session(tmp_path / name)
        assert (exact.inputs, exact.outputs) == (other.inputs, other.outputs)
        for a, b in zip(
            *(session.run(exact.outputs, pixels=pixels, **inputs) for session in (exact, other)), strict=True
        ):
            assert 0 < np.abs(a - b).max() < 0.1
            assert (b == rounded(b)).all()
