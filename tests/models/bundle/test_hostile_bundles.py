"""Bundles from strangers: each is one sentence at reading, and nothing outside of it is opened."""

import hashlib
import json
import shutil

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from models.bundle.reader import read_bundle, read_manifest
from models.errors import BundleError


@pytest.fixture
def copy(golden, tmp_path):
    return shutil.copytree(golden, tmp_path / "bundle")


def change_manifest(folder, change):
    document = json.loads((folder / "manifest.json").read_text())
    change(document)
    (folder / "manifest.json").write_text(json.dumps(document))


def list_again(folder, *names):
    """Write into the manifest what the files are now."""

    def change(document):
        for name in names:
            data = (folder / name).read_bytes()
            document["files"][name] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}

    change_manifest(folder, change)


def store_outside(folder, location, target):
    """Move the encoder's weights to a file that its graph names by `location`."""
    import onnx
    from onnx.external_data_helper import convert_model_to_external_data

    model = onnx.load(folder / "encoder.onnx")
    target.parent.mkdir(exist_ok=True)
    convert_model_to_external_data(model, location=target.name, size_threshold=256)
    onnx.save(model, target.parent / "encoder.onnx")
    for found in model.graph.initializer:
        for entry in found.external_data:
            if entry.key == "location":
                entry.value = location
    (folder / "encoder.onnx").write_bytes(model.SerializeToString())
    list_again(folder, "encoder.onnx")


@pytest.mark.parametrize("location", ["evil.bin", "sub/w.data", "../w.data", "ABSOLUTE"])
def test_weights_in_a_file_that_the_manifest_does_not_list_are_refused(copy, tmp_path, location):
    target = tmp_path / "away" / "w.data" if location == "ABSOLUTE" else copy / location
    location = str(target) if location == "ABSOLUTE" else location
    store_outside(copy, location, target)
    with pytest.raises(BundleError, match=r"encoder\.onnx takes weights from .*, which the manifest does not list"):
        read_bundle(copy)


def test_weights_in_a_listed_file_are_read(copy):
    from models.runtimes.onnxruntime import CPURuntime

    pixels = np.zeros((1, 16, 16, 3), np.uint8)
    expected = CPURuntime(read_bundle(copy)).encode(pixels, ["mean"])["mean"]
    store_outside(copy, "encoder.onnx.data", copy / "encoder.onnx.data")
    list_again(copy, "encoder.onnx", "encoder.onnx.data")
    assert np.allclose(CPURuntime(read_bundle(copy)).encode(pixels, ["mean"])["mean"], expected, atol=1e-5)


@pytest.mark.parametrize("name", ["/etc/hostname", "../away.txt", "sub/file", "..", ".hidden", "a\\b", "x\n", "a*", ""])
def test_a_file_is_a_plain_name(copy, name):
    change_manifest(copy, lambda document: document["files"].update({name: {"sha256": "0" * 64, "size": 1}}))
    with pytest.raises(BundleError, match=r"is malformed: files"):
        read_bundle(copy)


def test_a_link_out_of_the_folder_is_refused_and_one_inside_is_not(copy, tmp_path):
    card = copy / "MODEL_CARD.md"
    card.rename(copy / "text")
    card.symlink_to("text")
    read_bundle(copy)
    shutil.move(copy / "text", tmp_path / "text")
    card.unlink()
    card.symlink_to(tmp_path / "text")
    with pytest.raises(BundleError, match=r"MODEL_CARD\.md is a link to a file outside the bundle"):
        read_bundle(copy)


def test_a_manifest_that_links_elsewhere_is_refused(copy, tmp_path):
    shutil.move(copy / "manifest.json", tmp_path / "manifest.json")
    (copy / "manifest.json").symlink_to(tmp_path / "manifest.json")
    with pytest.raises(BundleError, match=r"manifest\.json is a link"):
        read_bundle(copy)


def test_a_graph_that_is_not_listed_is_never_opened(copy):
    """Of a precision that names the encoder alone; the others would be found beside it."""
    for name in ("encoder", "context", "predictor"):
        shutil.copy(copy / f"{name}.onnx", copy / f"{name}.int8.onnx")
    accuracy = {"first_percentile": 1.0, "mean": 1.0}
    variant = {"accuracy": {"encoder.onnx": accuracy}, "images": 1000, "measured_on": "images"}

    def change(document):
        document["variants"], document["tolerance"]["int8"] = {"int8": variant}, 0.1

    change_manifest(copy, change)
    list_again(copy, "encoder.int8.onnx")
    with pytest.raises(BundleError, match=r"does not list context\.int8\.onnx, predictor\.int8\.onnx"):
        read_bundle(copy)
    list_again(copy, "context.int8.onnx", "predictor.int8.onnx")
    with pytest.raises(BundleError, match=r"does not list encoder\.float16\.onnx"):
        read_bundle(copy).path("encoder.onnx", "float16")


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"a":' * 100 + "1" + "}" * 100,
        b"\xff\xfe",
        r'{"licence": "\ud800"}',
        '{"format": 3, "id": ' + "9" * 5000 + "}",
    ],
    ids=["deep", "deep, but not for Python", "no text", "half a character", "a number of 5,000 digits"],
)
def test_a_manifest_that_a_parser_stumbles_over_is_one_sentence(copy, text):
    (copy / "manifest.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(BundleError, match=r"manifest\.json cannot be read: "):
        read_manifest(copy)


def test_a_manifest_that_is_too_large_is_not_read(copy):
    with (copy / "manifest.json").open("ab") as file:
        file.truncate(5_000_000)
    with pytest.raises(BundleError, match="it has 5,000,000 bytes, at most 4,000,000 are allowed"):
        read_manifest(copy)


def set_at(document, path, value):
    *parents, last = path.split(".")
    for name in parents:
        document = document[name]
    document[last] = value


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("tolerance", {}, "tolerance has no value for float32"),
        ("tolerance", {"float32": float("nan")}, "tolerance.float32"),
        ("tolerance", {"float32": -1}, "tolerance.float32"),
        ("accuracy_floor", float("inf"), "accuracy_floor"),
        ("default_pooling", "last9", "default_pooling is last9"),
        ("poolings", {"mean\x1b": 32}, "poolings"),
        ("poolings", {"mean": 10**9}, "poolings.mean"),
        ("model.encoder.width", 2**40, "model.encoder.width"),
        ("model.encoder.depth", 10**6, "model.encoder.depth"),
        ("model.encoder.grid", [10**6, 4], "model.encoder.grid"),
        ("model.encoder.grid", [1000, 1000], "model: "),
        ("model.encoder.patch_size", 1000, "model"),
        ("model.encoder.heads", 0, "model.encoder.heads"),
        ("model.pixels.crop", 1e-300, "crop"),
        ("model.pixels.std", [0, 1, 1], "std"),
        ("model.pixels.mean", [float("nan"), 1, 1], "mean"),
        ("source.steps", 2**70, "source.steps"),
        ("distance", {"name": "smooth_l1", "beta": 0}, "distance.beta"),
        ("masking", {"name": "multiblock", "targets": 10**9}, "masking.targets"),
        ("variants", {"int8": {"accuracy": {}, "images": 1, "measured_on": "x"}}, "variants.int8.accuracy"),
        ("variants", {"../x": {"accuracy": {}, "images": 1, "measured_on": "x"}}, "variants"),
        ("calibration", {"mean": [[1]], "std": [[1]], "masks": 8, "images": 9, "measured_on": "x"}, "4x4 values"),
        ("id", "a\n", "id"),
    ],
    ids=lambda value: str(value)[:30].encode("ascii", "backslashreplace").decode(),
)  # fmt: skip
def test_a_value_that_would_stop_a_server_later_is_named_at_reading(copy, path, value, message):
    change_manifest(copy, lambda document: set_at(document, path, value))
    with pytest.raises(BundleError, match=f"is malformed: .*{message}"):
        read_bundle(copy)


def test_a_precision_without_the_encoder_is_refused(copy):
    accuracy = {"context.onnx": {"first_percentile": 1.0, "mean": 1.0}}

    def change(document):
        document["variants"] = {"bfloat16": {"accuracy": accuracy, "images": 1, "measured_on": "x"}}
        document["tolerance"]["bfloat16"] = 0.1

    change_manifest(copy, change)
    with pytest.raises(BundleError, match=r"variants without an accuracy of encoder\.onnx: bfloat16"):
        read_bundle(copy)


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("pixels", np.zeros((1, 1, 3), np.uint8), r"pixels is U8 \[1, 1, 3\], expected U8 \[16, 16, 3\]"),
        ("pixels", np.zeros((16, 16, 3), np.float32), "pixels is F32"),
        ("tokens", np.zeros((16, 31), np.float32), "tokens is"),
        ("mean", np.zeros((), np.float32), "mean is"),
        ("context_ids", np.array([99]), "context_ids are not patches of the 4x4 grid"),
        ("target_ids", np.zeros(0, np.int64), "target_ids is"),
        ("predicted", None, "lacks predicted"),
    ],
)
def test_canonical_tensors_have_the_shapes_that_the_manifest_calls_for(copy, name, array, message):
    tensors = load_file(copy / "canonical.safetensors")
    del tensors[name]
    save_file(tensors if array is None else tensors | {name: array}, copy / "canonical.safetensors")
    list_again(copy, "canonical.safetensors")
    with pytest.raises(BundleError, match=message):
        read_bundle(copy)


def test_a_safetensors_header_is_bounded(copy):
    (copy / "canonical.safetensors").write_bytes((50_000_000).to_bytes(8, "little") + b"{" + b" " * 100)
    list_again(copy, "canonical.safetensors")
    with pytest.raises(BundleError, match="its header has 50,000,000 bytes, at most 8,000,000 are allowed"):
        read_bundle(copy)


def test_a_card_is_bounded_text(copy):
    (copy / "MODEL_CARD.md").write_bytes(b"x" * 1_000_001)
    list_again(copy, "MODEL_CARD.md")
    with pytest.raises(BundleError, match=r"MODEL_CARD\.md cannot be read: it has 1,000,001 bytes"):
        read_bundle(copy).card()
    (copy / "MODEL_CARD.md").write_bytes(b"\xff")
    list_again(copy, "MODEL_CARD.md")
    with pytest.raises(BundleError, match=r"MODEL_CARD\.md cannot be read: 'utf-8'"):
        read_bundle(copy).card()
