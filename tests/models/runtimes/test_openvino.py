import numpy as np
import pytest

from models.bundle.reader import read_bundle
from models.errors import ConfigError

openvino = pytest.importorskip("openvino")


@pytest.fixture(scope="module")
def bundle(golden):
    return read_bundle(golden)


def test_it_computes_the_canonical_image_in_float32(bundle):
    from models.inference.canonical import check_canonical
    from models.runtimes.openvino import OpenVINORuntime

    check_canonical(OpenVINORuntime(bundle, threads=1), bundle)


def test_it_gives_what_onnx_runtime_gives(bundle):
    from models.runtimes.measure import images_of
    from models.runtimes.onnxruntime import CPURuntime
    from models.runtimes.openvino import OpenVINORuntime

    pixels = images_of(bundle, 5)
    ids, targets = np.array([[0, 1, 2, 3, -1]] * 5), np.array([[7, 8, -1]] * 5)
    exact, other = CPURuntime(bundle, threads=1), OpenVINORuntime(bundle, threads=1)
    for name, values in exact.encode(pixels, ["tokens", "mean"]).items():
        np.testing.assert_allclose(other.encode(pixels, ["tokens", "mean"])[name], values, atol=1e-4)
    context = exact.encode_context(pixels, ids)
    np.testing.assert_allclose(other.encode_context(pixels, ids)[:, :4], context[:, :4], atol=1e-4)
    predicted = exact.predict(context, ids, targets)
    np.testing.assert_allclose(other.predict(context, ids, targets)[:, :2], predicted[:, :2], atol=1e-4)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_an_image_does_not_depend_on_its_batch(bundle, precision):
    from models.runtimes.measure import images_of
    from models.runtimes.openvino import OpenVINORuntime

    if precision not in OpenVINORuntime.precisions():
        pytest.skip(f"this CPU has no {precision}")
    runtime, pixels = OpenVINORuntime(bundle, precision, 1), images_of(bundle, 4)
    together = runtime.encode(pixels, ["tokens"])["tokens"]
    alone = np.concatenate([runtime.encode(pixels[i : i + 1], ["tokens"])["tokens"] for i in range(4)])
    np.testing.assert_allclose(together, alone, rtol=1e-5, atol=1e-6)


def test_results_are_not_overwritten_by_the_next_run(bundle):
    from models.runtimes.measure import images_of
    from models.runtimes.openvino import OpenVINORuntime

    runtime, pixels = OpenVINORuntime(bundle, threads=1), images_of(bundle, 2)
    first = runtime.encode(pixels[:1], ["mean"])["mean"]
    before = first.copy()
    runtime.encode(pixels[1:], ["mean"])
    assert np.array_equal(first, before)


def test_threads_may_share_a_runtime(bundle):
    from concurrent.futures import ThreadPoolExecutor

    from models.runtimes.measure import images_of
    from models.runtimes.openvino import OpenVINORuntime

    runtime, pixels = OpenVINORuntime(bundle, threads=1), images_of(bundle, 8)
    expected = runtime.encode(pixels, ["mean"])["mean"]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda i: runtime.encode(pixels[i : i + 1], ["mean"])["mean"][0], range(8)))
    np.testing.assert_allclose(np.stack(found), expected, atol=1e-5)


def test_lanes_compute_the_same_at_the_same_time_as_the_whole(bundle):
    from concurrent.futures import ThreadPoolExecutor

    from models.runtimes.measure import images_of
    from models.runtimes.openvino import OpenVINORuntime

    runtime, pixels = OpenVINORuntime(bundle, threads=2), images_of(bundle, 24)
    assert runtime.lanes == 2
    expected = runtime.encode(pixels, ["mean"])["mean"]
    networks = [runtime.lane, runtime.lane, runtime.lane, runtime]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda i: networks[i % 4].encode(pixels[2 * i : 2 * i + 2], ["mean"])["mean"], range(12)))
    np.testing.assert_allclose(np.concatenate(found), expected, atol=1e-5)


def test_a_lane_serves_after_a_failure(bundle):
    from models.errors import RuntimeFailure
    from models.runtimes.measure import images_of
    from models.runtimes.openvino import OpenVINORuntime

    runtime = OpenVINORuntime(bundle, threads=1)
    with pytest.raises(RuntimeFailure):
        runtime.lane.encode(np.zeros((1, 3, 3, 3), np.uint8), ["mean"])
    assert runtime.lane.encode(images_of(bundle, 1), ["mean"])["mean"].shape[0] == 1


def test_a_precision_that_the_cpu_does_not_have_is_an_error(bundle, monkeypatch):
    from models.runtimes import openvino as ours

    monkeypatch.setattr(ours, "_has_bfloat16", lambda: False)
    with pytest.raises(ConfigError, match="cannot compute in bfloat16 on this CPU; it can in float32, int8"):
        ours.OpenVINORuntime(bundle, "bfloat16")


def test_a_wrong_shape_is_a_failure_of_the_runtime(bundle):
    from models.errors import RuntimeFailure
    from models.runtimes.openvino import OpenVINORuntime

    with pytest.raises(RuntimeFailure, match="OpenVINO could not compute mean: "):
        OpenVINORuntime(bundle, threads=1).encode(np.zeros((1, 3, 3, 3), np.uint8), ["mean"])


def test_a_broken_graph_is_an_error_of_the_bundle(bundle, tmp_path):
    from models.errors import BundleError
    from models.runtimes.openvino import Graph

    (tmp_path / "encoder.onnx").write_bytes(b"not a graph")
    with pytest.raises(BundleError, match="cannot be loaded by OpenVINO"):
        Graph(tmp_path / "encoder.onnx", "f32")


def test_it_does_not_try_to_leave_the_machine(bundle, tmp_path):
    """OpenVINO sends an event when it is imported, unless it is kept from it."""
    import subprocess
    import sys

    code = (
        "import sys; seen = [];"
        "sys.addaudithook(lambda name, args: name.startswith(('socket.', 'subprocess.')) and seen.append(name));"
        "from pathlib import Path; from models.runtimes.openvino import OpenVINORuntime;"
        "from models.runtimes.measure import images_of; from models.bundle.reader import read_bundle;"
        f"bundle = read_bundle(Path({str(bundle.folder)!r}));"
        "OpenVINORuntime(bundle, threads=1).encode(images_of(bundle, 1), ['mean']);"
        "print(seen, list(Path.home().rglob('*')))"
    )
    environment = {"HOME": str(tmp_path), "PYTHONPATH": "."}
    found = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[] []"


def test_a_batch_that_is_split_over_the_cores_gives_the_same_bits(bundle):
    from models.runtimes.measure import images_of
    from models.runtimes.openvino import OpenVINORuntime

    pixels = images_of(bundle, 5)
    whole, split = OpenVINORuntime(bundle, threads=1), OpenVINORuntime(bundle, threads=2)
    assert split.lanes == 2
    expected = whole.encode(pixels, ["tokens", "mean"])
    for name, values in split.encode(pixels, ["tokens", "mean"]).items():
        assert np.array_equal(values, expected[name])


def test_a_part_that_fails_leaves_the_runtime_usable(bundle):
    from models.errors import RuntimeFailure
    from models.runtimes.measure import images_of
    from models.runtimes.openvino import OpenVINORuntime

    runtime, pixels = OpenVINORuntime(bundle, threads=2), images_of(bundle, 4)
    expected = runtime.encode(pixels, ["mean"])["mean"]
    with pytest.raises(RuntimeFailure):
        runtime.encode(np.zeros((4, 3, 3, 3), np.uint8), ["mean"])
    assert np.array_equal(runtime.encode(pixels, ["mean"])["mean"], expected)
