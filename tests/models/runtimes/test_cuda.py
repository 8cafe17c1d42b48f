"""The bundle on a GPU. Run by `make test-all` in an environment with the extra `gpu`."""

import pytest

pytestmark = pytest.mark.gpu


@pytest.fixture
def cuda_runtime(golden):
    import onnxruntime

    from models.bundle.reader import read_bundle
    from models.runtimes.select import open_runtime

    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        pytest.skip("the installed ONNX Runtime has no CUDA (install the extra gpu in place of cpu)")
    bundle = read_bundle(golden)
    return bundle, open_runtime("gpu", bundle, precision="float32")


def test_it_computes_the_canonical_image(cuda_runtime):
    from models.inference.canonical import check_canonical

    bundle, runtime = cuda_runtime
    check_canonical(runtime, bundle)


def test_it_gives_the_embeddings_of_the_cpu(cuda_runtime):
    import numpy as np

    from models.runtimes.select import open_runtime

    bundle, runtime = cuda_runtime
    pixels = np.random.default_rng(0).integers(0, 256, (5, 16, 16, 3), np.uint8)
    expected = open_runtime("onnxruntime", bundle, threads=1).encode(pixels, ["mean"])["mean"]
    np.testing.assert_allclose(runtime.encode(pixels, ["mean"])["mean"], expected, atol=1e-4)
