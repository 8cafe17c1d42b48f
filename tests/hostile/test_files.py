"""Finding 10: bundles and checkpoints from strangers. What cannot be used is said in one sentence, at once and in little memory."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time

import pytest

from tests.hostile.server import GOLDEN, ROOT

pytestmark = pytest.mark.slow

SECONDS, BYTES = 30, 1_500_000_000
"""PyTorch alone takes 1 GB."""
MANIFEST = "manifest.json"


def edited(folder, **fields):
    """With other fields in the manifest."""
    document = json.loads((folder / MANIFEST).read_text()) | fields
    (folder / MANIFEST).write_text(json.dumps(document))


def replaced(folder, name, data, listed=None):
    """With another file, which the manifest lists with its true sha256, maybe by another name."""
    (folder / name).write_bytes(data)
    files = json.loads((folder / MANIFEST).read_text())["files"]
    entry = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
    edited(folder, files={**{key: value for key, value in files.items() if key != name}, listed or name: entry})


def without(folder, *names):
    """With no entry for some files, which are there."""
    files = json.loads((folder / MANIFEST).read_text())["files"]
    edited(folder, files={key: value for key, value in files.items() if key not in names})


def with_external_data(folder, location):
    """With weights in a file that the manifest does not list."""
    onnx = pytest.importorskip("onnx")
    model = onnx.load(folder / "encoder.onnx")
    weights = next(tensor for tensor in model.graph.initializer if len(tensor.raw_data) > 100)
    target = folder / location
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(weights.raw_data)
    weights.ClearField("raw_data")
    weights.data_location = onnx.TensorProto.EXTERNAL
    weights.external_data.add(key="location", value=location)
    replaced(folder, "encoder.onnx", model.SerializeToString())


def large(folder):
    """A manifest of 200 MB, which takes no room on the disk."""
    with (folder / MANIFEST).open("r+b") as file:
        file.truncate(200_000_000)


def listing(folder, name):
    """Lists a file outside the bundle."""
    data = (GOLDEN / "encoder.onnx").read_bytes()
    files = json.loads((folder / MANIFEST).read_text())["files"]
    entry = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
    edited(folder, files={**files, name: entry})


def wide(folder):
    """A network of a billion dimensions."""
    model = json.loads((folder / MANIFEST).read_text())["model"]
    edited(
        folder, model=model | {"encoder": model["encoder"] | {"width": 10**9, "depth": 10**9, "grid": [10**5, 10**5]}}
    )


BUNDLES = {
    "an empty manifest": lambda folder: (folder / MANIFEST).write_bytes(b""),
    "a manifest that is a list": lambda folder: (folder / MANIFEST).write_text("[]"),
    "a manifest of 200,000 brackets": lambda folder: (folder / MANIFEST).write_text("[" * 200_000),
    "a manifest of 200,000 objects": lambda folder: (folder / MANIFEST).write_text('{"a":' * 200_000),
    "a manifest of 200 MB": large,
    "a format of 2^60": lambda folder: edited(folder, format=2**60),
    "no tolerance": lambda folder: edited(folder, tolerance={}),
    "no files": lambda folder: edited(folder, files={}),
    "a file at an absolute path": lambda folder: listing(folder, str(GOLDEN / "encoder.onnx")),
    "a file in a parent": lambda folder: listing(folder, "../encoder.onnx"),
    "a file in a parent of a parent": lambda folder: listing(folder, "a/../../encoder.onnx"),
    "a billion dimensions": wide,
    "unlisted weights": lambda folder: with_external_data(folder, "evil.bin"),
    "unlisted weights in a folder": lambda folder: with_external_data(folder, "sub/w.data"),
    "an unlisted graph": lambda folder: without(folder, "encoder.onnx"),
    "a graph that is rubbish": lambda folder: replaced(folder, "encoder.onnx", bytes(range(256)) * 100),
    "an empty graph": lambda folder: replaced(folder, "encoder.onnx", b""),
    "empty vectors": lambda folder: replaced(folder, "canonical.safetensors", b""),
    "vectors whose header has 2^63 bytes": lambda folder: replaced(
        folder, "canonical.safetensors", b"\xff" * 7 + b"\x7f{}"
    ),
    "vectors whose header is deep": lambda folder: replaced(
        folder, "canonical.safetensors", (100_000).to_bytes(8, "little") + b"[" * 100_000
    ),
    "a card of another content": lambda folder: (folder / "MODEL_CARD.md").write_text("x"),
}


def run(*arguments):
    """Exit status, output, seconds, bytes of memory."""
    start = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "ijepa", *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={name: value for name, value in os.environ.items() if not name.startswith("IJEPA_")}
        | {"PYTHONPATH": str(ROOT)},
    )
    with process:
        assert process.stdout
        output = process.stdout.read().decode("utf-8", "replace")
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, output, time.monotonic() - start, 1024 * usage.ru_maxrss


def assert_one_sentence(status, output, seconds, size):
    assert status == 1, output
    assert "Traceback" not in output
    assert "\x1b" not in output
    assert len(output) < 3000
    assert seconds < SECONDS
    assert size < BYTES


@pytest.mark.parametrize("name", BUNDLES)
def test_a_bundle_that_cannot_be_used_is_not_served(tmp_path, name):
    folder = tmp_path / "bundle"
    shutil.copytree(GOLDEN, folder)
    BUNDLES[name](folder)
    serve = ("serve", "--bundle", folder, "--port", "0", "--runtime", "onnxruntime", "--precision", "float32")
    assert_one_sentence(*run("models", "verify", folder))
    assert_one_sentence(*run(*serve))


def test_what_a_bundle_says_does_not_move_the_cursor(tmp_path):
    folder = tmp_path / "bundle"
    shutil.copytree(GOLDEN, folder)
    source = json.loads((folder / MANIFEST).read_text())["source"]
    edited(folder, source=source | {"trained_on": "\x1b[2J\x1b]0;mine\x07 photos\r\n\u202e"}, licence="\x1b[31mred")
    status, output, *_ = run("models", "show", folder)
    assert status in (0, 1)
    assert "\x1b" not in output
    assert "\x07" not in output


@pytest.mark.parametrize("data", [b"", b"\x80\x04.", b"PK\x03\x04" + bytes(50), b"cos\nsystem\n(S'true'\ntR."])
def test_weights_that_are_none_are_said_in_one_sentence(tmp_path, data):
    file = tmp_path / "weights.pth.tar"
    file.write_bytes(data)
    assert_one_sentence(*run("import", file, "--out", tmp_path / "out"))


def test_a_run_whose_newest_checkpoint_is_elsewhere_is_an_error(tmp_path):
    folder = tmp_path / "run"
    (folder / "checkpoints").mkdir(parents=True)
    for place in (folder, folder / "checkpoints"):
        (place / "latest").write_text("../../../etc")
    assert_one_sentence(*run("export", folder, "--out", tmp_path / "out"))
