import numpy as np
import pytest

from tests.golden.make import tiny_model, write_tiny_checkpoint


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    """The tiny network exported with either kind of stored weights."""
    from models.bundle.reader import read_bundle
    from models.checkpoint.store import read_checkpoint
    from models.export.pipeline import export_bundle

    root = tmp_path_factory.mktemp("export")
    checkpoint = read_checkpoint(write_tiny_checkpoint(root / "step"))
    for weights in ("float32", "float16"):
        export_bundle(checkpoint, root / weights, bundle_id="tiny", weights=weights)
    return {weights: read_bundle(root / weights) for weights in ("float32", "float16")}


def test_every_graph_gives_pytorchs_outputs(bundles):
    """Within the tolerance, one image with one context and one target patch included (see `Reference.parity`)."""
    for bundle in bundles.values():
        assert set(bundle.manifest.parity) == {"encoder.onnx", "context.onnx", "predictor.onnx"}
        for parity in bundle.manifest.parity.values():
            assert 0 < parity.max_difference <= parity.allowed
            assert parity.allowed == 1e-4 * max(1, parity.reference_rms)


@pytest.mark.parametrize(("b", "k", "t"), [(1, 1, 1), (1, 7, 3), (5, 1, 9), (2, 16, 1)])
def test_batch_context_and_target_sizes_are_free(bundles, b, k, t):
    import torch

    from models.export.graphs import ContextGraph, PredictorGraph
    from models.runtimes.onnxruntime import Session

    bundle, model = bundles["float32"], tiny_model().eval()
    draw = np.random.default_rng(b * 100 + k * 10 + t)
    pixels = draw.integers(0, 256, (b, 16, 16, 3), dtype=np.uint8)
    context = np.stack([draw.permutation(16)[:k] for _ in range(b)])
    target = np.stack([draw.permutation(16)[:t] for _ in range(b)])

    (tokens,) = Session(bundle.path("context.onnx")).run(["context_tokens"], pixels=pixels, context_ids=context)
    inputs = {"context_tokens": tokens, "context_ids": context, "target_ids": target}
    (predicted,) = Session(bundle.path("predictor.onnx")).run(["predicted"], **inputs)

    with torch.no_grad():
        expected = ContextGraph(model)(torch.from_numpy(pixels), torch.from_numpy(context))
        block = PredictorGraph(model)(expected, torch.from_numpy(context), torch.from_numpy(target))
    assert np.abs(tokens - expected.numpy()).max() < 1e-4
    assert np.abs(predicted - block.numpy()).max() < 1e-4


def test_float16_halves_the_weights_and_changes_little(bundles):
    """The stored halves are cast back before anything is computed: features stay within rounding of the float32 ones."""
    from models.runtimes.onnxruntime import Session

    full, half = bundles["float32"], bundles["float16"]
    draw = np.random.default_rng(0)
    pixels = draw.integers(0, 256, (4, 16, 16, 3), dtype=np.uint8)
    a, b = (Session(x.path("encoder.onnx")).run(["mean"], pixels=pixels)[0] for x in (full, half))

    assert half.manifest.files["encoder.onnx"].size < 0.8 * full.manifest.files["encoder.onnx"].size
    cosine = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    assert cosine.min() > 0.9999


def test_a_graph_that_differs_from_pytorch_is_not_written(tmp_path, monkeypatch):
    from models.checkpoint.store import read_checkpoint
    from models.errors import ExportError
    from models.export.parity import Reference
    from models.export.pipeline import export_bundle

    honest = Reference.outputs
    monkeypatch.setattr(Reference, "outputs", lambda *args: [x + 0.01 for x in honest(*args)])
    checkpoint = read_checkpoint(write_tiny_checkpoint(tmp_path / "step"))

    with pytest.raises(
        ExportError, match=r"max abs difference from PyTorch is 1\.00e-02, allowed is 1\.00e-04; nothing was written"
    ):
        export_bundle(checkpoint, tmp_path / "bundle", bundle_id="off")
    assert [path.name for path in tmp_path.iterdir()] == ["step"]


def test_outputs_that_are_not_finite_do_not_pass_the_parity_check(bundles):
    from models.errors import ExportError
    from models.export.parity import Reference
    from models.runtimes.onnxruntime import Session

    class Broken(Session):
        def __init__(self):
            self.outputs = ("context_tokens",)

        def run(self, outputs, **inputs):
            return [np.full((len(inputs["pixels"]), inputs["context_ids"].shape[1], 32), np.nan, dtype=np.float32)]

    with pytest.raises(ExportError, match="not finite"):
        Reference(tiny_model().eval()).parity("context.onnx", Broken())


def test_a_bundle_replaces_nothing_but_a_bundle(tmp_path):
    from models.checkpoint.store import read_checkpoint
    from models.errors import BundleError
    from models.export.pipeline import export_bundle

    step = write_tiny_checkpoint(tmp_path / "run" / "step-00000001")
    checkpoint = read_checkpoint(step)
    for out in (step, step.parent, tmp_path):
        with pytest.raises(BundleError, match="is not empty and is not a bundle"):
            export_bundle(checkpoint, out, bundle_id="x")
    assert read_checkpoint(step).tensors.keys() == checkpoint.tensors.keys()


def test_graphs_name_no_files_of_the_machine_that_made_them(bundles):
    for bundle in bundles.values():
        for name in bundle.manifest.parity:
            assert b".py" not in bundle.path(name).read_bytes()


def test_poolings_are_the_mean_and_the_normed_means_of_four_blocks():
    import torch

    from models.export.graphs import EncoderGraph
    from models.network.encoder import normalise

    model = tiny_model().eval()
    pixels = torch.randint(0, 256, (2, 16, 16, 3), dtype=torch.uint8)
    with torch.no_grad():
        tokens, mean, last4 = EncoderGraph(model)(pixels)
        encoder = model.target_encoder
        blocks = encoder.last_blocks(normalise(pixels, model.config.pixels), last=4)
        expected = torch.cat([encoder.norm(x).mean(1) for x in blocks], dim=1)

    assert torch.equal(mean, tokens.mean(1))
    assert torch.equal(last4, expected)
