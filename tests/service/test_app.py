"""What is around the routes: readiness, descriptions, metrics, pages, settings."""

import json
import re
import shutil
import threading

import pytest

from models.bundle.reader import read_bundle
from models.errors import BundleError, ConfigError
from models.runtimes.select import open_runtime
from models.runtimes.table import RUNTIMES
from service.errors import all_errors
from service.settings import read_settings

LOCAL = "http://localhost"


def test_it_lives_before_it_is_ready_and_is_ready_after_its_check(golden, monkeypatch, png):
    from fastapi.testclient import TestClient

    from service.app import create_app
    from service.registry import LoadedModel
    from tests.service.conftest import wait_until_ready

    gate, honest = threading.Event(), LoadedModel.check

    def slow(self):
        assert gate.wait(10)
        honest(self)

    monkeypatch.setattr(LoadedModel, "check", slow)
    with TestClient(create_app(read_settings(bundle=(str(golden),), threads=1)), LOCAL) as client:
        assert client.get("/health/live").status_code == 200
        for path in ("/health", "/health/ready"):
            assert client.get(path).status_code == 503
        refused = client.post("/v1/images/embeddings", files={"file": png})
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "not_ready")
        assert "ijepa_ready 0.0" in client.get("/metrics").text
        gate.set()
        wait_until_ready(client)
        assert client.get("/health").json() == {"status": "ready", "models": ["golden"]}
        assert "ijepa_ready 1.0" in client.get("/metrics").text


def test_wrong_numbers_for_the_canonical_image_keep_it_from_being_ready(golden, monkeypatch):
    from fastapi.testclient import TestClient

    from models.runtimes.onnxruntime import OnnxRuntime
    from service.app import create_app

    honest = OnnxRuntime.encode
    monkeypatch.setattr(
        OnnxRuntime, "encode", lambda self, *args: {k: v + 0.01 for k, v in honest(self, *args).items()}
    )
    with TestClient(
        create_app(read_settings(bundle=(str(golden),), runtime="onnxruntime", threads=1)), LOCAL
    ) as client:
        for _ in range(200):
            answer = client.get("/health").json()
            if "canonical" in answer["error"]["message"]:
                break
        assert "of the canonical image differs by 1" in answer["error"]["message"]


def test_models_are_described(client, golden):
    card = client.get("/v1/models").json()
    assert card["object"] == "list"
    assert [model["id"] for model in card["data"]] == ["golden"]

    model, bundle = client.get("/v1/models/golden").json(), read_bundle(golden)
    assert model["sha256"] == bundle.sha256
    assert model["trained_on"] == "nothing: its weights are random"
    assert model["licence"] == "Apache-2.0"
    assert "ijepa serve --bundle" in model["another_model"]
    assert model["grid"] == [4, 4]
    assert model["poolings"] == {"mean": 32, "last4": 128}
    assert model["images_per_second"] > 0
    assert set(model["parity"]) == {"encoder.onnx", "context.onnx", "predictor.onnx"}
    assert model["limits"]["images"] == 32


def test_every_series_is_there_from_the_start(make_client, png):
    with make_client() as client:
        before = client.get("/metrics").text
        for error in all_errors():
            assert f'ijepa_errors_total{{code="{error.code}"}}' in before
        for path in ("/v1/embeddings", "/v1/predict"):
            assert f'ijepa_request_seconds_count{{route="{path}"}} 0.0' in before
        client.post("/v1/images/embeddings", files=[("file", png)] * 3)
        client.post("/v1/images/embeddings", content=b"no image")
        after = client.get("/metrics").text

    assert 'ijepa_images_total{operation="embed"} 3.0' in after
    assert 'ijepa_errors_total{code="unsupported_media_type"} 1.0' in after
    assert 'ijepa_stage_seconds_count{stage="inference"} 3.0' in after
    assert 'ijepa_requests_total{route="/v1/images/embeddings",status="415"} 1.0' in after
    assert {line.split("{")[0].split(" ")[0] for line in before.splitlines()} <= {
        line.split("{")[0].split(" ")[0] for line in after.splitlines()
    }


def test_pages_name_no_other_host(client):
    for path in ("/", "/docs", "/docs/assets/swagger-ui.css"):
        response = client.get(path)
        assert response.status_code == 200
        hosts = set(re.findall(r"(?:src|href)=[\"']?(https?:)?//", response.text))
        assert not hosts, path
    page = client.get("/").text
    assert "nothing: its weights are random" in page
    assert "ijepa serve --bundle" in page


def test_the_description_has_every_route_with_its_errors(client):
    described = client.get("/openapi.json").json()
    for path in ("/v1/embeddings", "/v1/images/embeddings", "/v1/predict"):
        operation = described["paths"][path]["post"]
        assert {"400", "413", "415", "422", "429", "503", "504"} <= set(operation["responses"])
        assert set(operation["requestBody"]["content"]) == {"multipart/form-data", "application/json", "image/*"}
    references = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(described)))
    assert references <= set(described["components"]["schemas"])


def test_settings_come_from_arguments_then_environment_then_defaults(monkeypatch):
    monkeypatch.setenv("IJEPA_PORT", "9001")
    monkeypatch.setenv("IJEPA_MAX_IMAGES", "5")
    monkeypatch.setenv("IJEPA_BUNDLE", "a, b")
    settings = read_settings(port=7000, host=None)

    assert (settings.port, settings.max_images, settings.host) == (7000, 5, "127.0.0.1")
    assert settings.bundle == ("a", "b")


@pytest.mark.parametrize(("name", "value"), [("PORT", "many"), ("MAX_PIXELS", "0"), ("QUEUE_SECONDS", "-1")])
def test_a_wrong_setting_names_its_variable(monkeypatch, name, value):
    monkeypatch.setenv(f"IJEPA_{name}", value)
    with pytest.raises(ConfigError, match=f"IJEPA_{name}"):
        read_settings()


def test_a_misspelt_variable_is_an_error_that_names_the_nearest_setting(monkeypatch):
    monkeypatch.setenv("IJEPA_MAX_IMGES", "5")
    with pytest.raises(ConfigError, match=r"IJEPA_MAX_IMGES is not a setting; did you mean IJEPA_MAX_IMAGES\?"):
        read_settings()


def test_the_same_model_twice_and_unknown_runtimes_are_refused(golden, tmp_path):
    from service.app import create_app

    again = shutil.copytree(golden, tmp_path / "again")
    with pytest.raises(ConfigError, match="two bundles have the id 'golden'"):
        create_app(read_settings(bundle=(str(golden), str(again)), threads=1))
    with pytest.raises(ConfigError, match="the runtimes are auto, cpu, gpu"):
        create_app(read_settings(bundle=(str(golden),), runtime="tpu"))
    with pytest.raises(BundleError, match="there is no bundle 'nowhere'"):
        create_app(read_settings(bundle=("nowhere",)))


def test_with_two_models_a_request_must_say_which(golden, tmp_path, make_client, png):
    other = shutil.copytree(golden, tmp_path / "other")
    manifest = json.loads((other / "manifest.json").read_text())
    (other / "manifest.json").write_text(json.dumps(manifest | {"id": "second"}))

    with make_client(bundle=(str(golden), str(other))) as client:
        error = client.post("/v1/images/embeddings", files={"file": png}).json()["error"]
        assert (error["code"], error["param"]) == ("unsupported_option", "model")
        answer = client.post("/v1/images/embeddings", files={"file": png}, params={"model": "second"}).json()
        assert answer["model"] == "second"
        page = client.get("/").text
        assert "/v1/images/embeddings?model=golden" in page
        assert '{"model":"golden","targets"' in page


def test_a_bundle_without_a_predictor_embeds_and_says_that_it_cannot_predict(golden, tmp_path, make_client, png):
    lone = shutil.copytree(golden, tmp_path / "lone")
    manifest = json.loads((lone / "manifest.json").read_text())
    for name in ("context.onnx", "predictor.onnx"):
        (lone / name).unlink()
        del manifest["files"][name]
    (lone / "manifest.json").write_text(json.dumps(manifest))

    with make_client(bundle=(str(lone),)) as client:
        assert client.post("/v1/images/embeddings", files={"file": png}).status_code == 200
        request = {"request": json.dumps({"targets": [{"patches": [0]}]})}
        error = client.post("/v1/predict", files={"file": png}, data=request).json()["error"]
        assert error["code"] == "unsupported_option"
        assert "has no predictor" in error["message"]


@pytest.mark.parametrize("name", RUNTIMES)
def test_every_runtime_of_the_table_keeps_the_protocol(golden, image, name):
    import numpy as np

    if not RUNTIMES[name].load().available():
        with pytest.raises(ConfigError, match=r"ONNX Runtime here has no (CUDA|Tensorrt)ExecutionProvider"):
            open_runtime(name, read_bundle(golden))
        return
    runtime = open_runtime(name, read_bundle(golden), threads=1)
    pixels, context, target = image[None], np.array([[0, 1, 2, -1]]), np.array([[5, 6]])
    outputs = runtime.encode(pixels, ["tokens", "mean"])
    tokens = runtime.encode_context(pixels, context)

    assert outputs["tokens"].shape == (1, 16, 32)
    assert outputs["mean"].shape == (1, 32)
    assert tokens.shape == (1, 4, 32)
    assert runtime.predict(tokens, context, target).shape == (1, 2, 32)


def test_an_operation_and_a_runtime_are_one_class_and_one_table_line(make_client, monkeypatch, png, golden):
    """A toy of each, registered here, serves, is measured, and stands in metrics and descriptions."""
    import sys
    import types

    from models.runtimes.fake import FakeRuntime
    from models.runtimes.table import RUNTIMES, Member
    from service.operations.embed import Embed
    from service.operations.table import OPERATIONS

    class Zeros(FakeRuntime):
        def __init__(self, bundle, precision="float32", threads=0):
            super().__init__(bundle, precision, threads)
            self.name = "zeros"

        def encode(self, pixels, outputs):
            return {name: values * 0 for name, values in super().encode(pixels, outputs).items()}

    class Count(Embed):
        name = "count"

    module = types.ModuleType("toy_runtime")
    module.Zeros = Zeros  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "toy_runtime", module)
    monkeypatch.setitem(RUNTIMES, "zeros", Member("toy_runtime", "Zeros"))
    monkeypatch.setitem(OPERATIONS, "count", Count)
    with make_client(runtime="zeros") as client:
        answer = client.post("/v1/images/embeddings", files={"file": png}).json()
        assert set(answer["data"][0]["embedding"]) == {0.0}
        assert client.get("/v1/models/golden").json()["runtime"] == "zeros"
        assert "count" in client.get("/v1/models/golden").json()["operations"]
        assert 'ijepa_images_total{operation="count"} 0.0' in client.get("/metrics").text


def test_a_model_that_fails_its_check_says_why_and_a_draining_server_too(golden):
    from service.app import create_app
    from service.registry import State

    registry = create_app(read_settings(bundle=(str(golden),), threads=1)).state.service.registry
    model = registry.known("golden")
    assert (model.state, registry.ready) == (State.LOADING, False)
    model.check()
    assert (model.state, registry.ready) == (State.READY, True)
    registry.drain()
    assert (model.state, registry.ready) == (State.DRAINING, False)
    model.check()
    assert model.state is State.DRAINING, "a check that ends while the server stops does not open it again"
    registry.close()


def test_a_check_that_fails_unexpectedly_is_logged_and_told(golden, monkeypatch, caplog):
    import service.registry as module
    from service.app import create_app

    def broken(*_):
        raise KeyError("float32")

    monkeypatch.setattr(module, "check_canonical", broken)
    registry = create_app(read_settings(bundle=(str(golden),), threads=1)).state.service.registry
    registry.check()
    assert registry.known("golden").state is module.State.FAILED
    assert "golden is not ready" in caplog.text
    assert "KeyError" in caplog.text
    registry.close()


def test_an_unready_server_says_when_to_try_again(golden, monkeypatch):
    from fastapi.testclient import TestClient

    from service.app import create_app
    from service.registry import LoadedModel

    monkeypatch.setattr(LoadedModel, "check", lambda self: None)
    with TestClient(create_app(read_settings(bundle=(str(golden),), threads=1)), LOCAL) as client:
        answer = client.get("/health/ready")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")


def test_a_head_request_is_logged_as_one(client, caplog):
    caplog.set_level("INFO", logger="service")
    client.head("/v1/models")
    assert " HEAD /v1/models 200 - " in caplog.text


def test_a_precision_that_no_bundle_has_is_named(golden):
    from service.app import create_app

    with pytest.raises(ConfigError, match=r"bundle golden has no precision 'int2' on .*; it has float32"):
        create_app(read_settings(bundle=(str(golden),), precision="int2"))
