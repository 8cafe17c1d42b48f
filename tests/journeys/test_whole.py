"""The whole way by the command alone: train, export, serve, embed, predict, over real HTTP, then stop."""

import base64
import io
import json
import shutil
import signal
import subprocess
import sys
import urllib.request

import numpy as np
import pyarrow.parquet as pq
import pytest
from openai import OpenAI
from PIL import Image

from tests.servers import running_server


def ijepa(*words, **options):
    command = [sys.executable, "-m", "ijepa", *map(str, words)]
    return subprocess.run(command, check=True, capture_output=True, text=True, **options).stdout.strip()


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """A network that this test trained, as a bundle."""
    root = tmp_path_factory.mktemp("journey")
    ijepa("train", "debug", "--out", root / "run", "optim.epochs=1", "optim.warmup=0", "run.threads=1")
    printed = ijepa("export", root / "run", "--out", root / "my-model", "--licence", "CC0-1.0", "--store", "float16")
    assert printed == str(root / "my-model")
    assert (root / "my-model" / "training_log.csv").read_text() == (root / "run" / "log.csv").read_text()
    return root / "my-model"


@pytest.fixture(scope="module")
def server(bundle, tmp_path_factory):
    with running_server(bundle, tmp_path_factory.mktemp("server")) as server:
        assert server.said().startswith("my-model: trained on 512 synthetic images; licence CC0-1.0")
        yield server


@pytest.fixture
def image():
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def post(url, body, content_type):
    request = urllib.request.Request(url, body, {"content-type": content_type})
    return json.loads(urllib.request.urlopen(request).read())


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed (Debian: apt-get install curl)")
def test_curl_and_the_openai_client_get_the_vector_that_a_job_writes(server, bundle, image, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "image.png").write_bytes(image)
    curl = subprocess.run(
        ["curl", "-sSf", "-F", f"file=@{tmp_path}/in/image.png", f"{server.url}/v1/images/embeddings"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    by_curl = json.loads(curl.stdout)["data"][0]["embedding"]
    url = "data:image/png;base64," + base64.b64encode(image).decode()
    by_openai = (
        OpenAI(base_url=f"{server.url}/v1", api_key="none")
        .embeddings.create(model="my-model", input=url)
        .data[0]
        .embedding
    )
    ijepa("embed", tmp_path / "in", "--out", tmp_path / "out", "--bundle", bundle, "--runtime", "onnxruntime")
    by_job = pq.read_table(tmp_path / "out" / "part-00000.parquet")["embedding"].to_pylist()[0]

    assert len(by_curl) == 64
    assert np.allclose(by_curl, by_openai, rtol=1e-5, atol=1e-6)
    assert np.allclose(by_curl, by_job, rtol=1e-5, atol=1e-6)


def test_hidden_pixels_change_nothing_in_the_prediction(server, image):
    changed = np.array(Image.open(io.BytesIO(image)))
    changed[8:24, 8:24] = 0
    file = io.BytesIO()
    Image.fromarray(changed).save(file, "PNG")

    answers = []
    for data in (image, file.getvalue()):
        body = {
            "image": base64.b64encode(data).decode(),
            "targets": [{"box": [0.25, 0.25, 0.75, 0.75]}],
            "return": ["predicted"],
        }
        answers.append(post(f"{server.url}/v1/predict", json.dumps(body).encode(), "application/json")["targets"][0])

    assert answers[0]["predicted"] == answers[1]["predicted"]
    assert answers[0]["energy"] != answers[1]["energy"]


def test_told_to_stop_it_finishes_and_leaves(server):
    process = server.process
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0


def test_a_port_in_use_is_one_sentence(bundle):
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        command = [sys.executable, "-m", "ijepa", "serve", "--bundle", str(bundle), "--port", str(port)]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "cannot listen on 127.0.0.1 port" in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_probe_measures_the_network_beside_its_baselines_and_the_bundle_carries_it(bundle, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    printed = ijepa("probe", bundle, "--data", "synthetic:300,synthetic:120", "--json", tmp_path / "results.json")
    results = json.loads((tmp_path / "results.json").read_text())

    kinds = {row["features"] for row in results["rows"]}
    assert {"chance", "raw pixels, 32x32", "k-means over their patches", "untrained, mean", "trained, last4"} <= kinds
    for row in results["rows"]:
        assert 0 <= row["low"] <= row["accuracy"] <= 1
        assert f"{100 * row['accuracy']:.2f}" in printed
    assert [row["network"] for row in results["swap"]] == ["trained", "untrained"]
    assert list((tmp_path / "cache").rglob("*.safetensors"))

    run = bundle.parent / "run"
    ijepa("export", run, "--out", tmp_path / "again", "--probes", tmp_path / "results.json")
    manifest = json.loads((tmp_path / "again" / "manifest.json").read_text())
    assert manifest["probes"] == results
    assert "| trained, mean |" in (tmp_path / "again" / "MODEL_CARD.md").read_text()


def test_results_of_something_else_are_refused(bundle, tmp_path):
    (tmp_path / "x.json").write_text('{"data": "images", "methods": {}}')
    command = [sys.executable, "-m", "ijepa", "export", bundle.parent / "run", "--out", tmp_path / "out"]
    result = subprocess.run(
        [*map(str, command), "--probes", str(tmp_path / "x.json")], capture_output=True, text=True, check=False
    )
    assert result.returncode == 1
    assert "is not what 'ijepa probe --json' writes" in result.stderr
    assert not (tmp_path / "out").exists()
