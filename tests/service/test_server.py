"""What is around the routes: readiness, descriptions, metrics, pages, settings."""

import json
import re
import shutil
import threading

import pytest

from models.bundle import read_bundle
from models.errors import BundleError, ConfigError
from service.errors import all_errors
from service.runtimes import RUNTIMES, open_runtime
from service.settings import Settings, read_settings


def test_it_lives_before_it_is_ready_and_is_ready_after_its_check(golden, monkeypatch, png):
    from fastapi.testclient import TestClient

    from service.app import create_app
    from service.engine import Engine
    from tests.service.conftest import wait_until_ready

    gate, honest = threading.Event(), Engine.check

    def slow(self):
        assert gate.wait(10)
        honest(self)

    monkeypatch.setattr(Engine, "check", slow)
    with TestClient(create_app(read_settings(bundle=(str(golden),), threads=1))) as client:
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


def test_wrong_numbers_for_the_canonical_picture_keep_it_from_being_ready(golden, monkeypatch):
    from fastapi.testclient import TestClient

    from service.app import create_app
    from service.runtimes.onnxruntime import OnnxRuntime

    honest = OnnxRuntime.encode
    monkeypatch.setattr(
        OnnxRuntime, "encode", lambda self, *args: {k: v + 0.01 for k, v in honest(self, *args).items()}
    )
    with TestClient(create_app(read_settings(bundle=(str(golden),), threads=1))) as client:
        for _ in range(200):
            answer = client.get("/health").json()
            if "canonical" in answer["error"]["message"]:
                break
        assert "of the canonical picture is off by 1" in answer["error"]["message"]


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
        client.post("/v1/images/embeddings", content=b"no picture")
        after = client.get("/metrics").text

    assert 'ijepa_images_total{journey="embed"} 3.0' in after
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


@pytest.mark.parametrize(("name", "value"), [("PORT", "many"), ("MAX_PIXELS", "0"), ("PRECISION", "int2")])
def test_a_wrong_setting_names_its_variable(monkeypatch, name, value):
    monkeypatch.setenv(f"IJEPA_{name}", value)
    with pytest.raises(ConfigError, match=f"IJEPA_{name}"):
        read_settings()


def test_every_setting_is_documented():
    from pathlib import Path

    page = (Path(__file__).parents[2] / "docs" / "api.md").read_text()
    for name in Settings.model_fields:
        assert f"`IJEPA_{name.upper()}`" in page


def test_the_same_model_twice_and_unknown_runtimes_are_refused(golden, tmp_path):
    from service.app import create_app

    again = shutil.copytree(golden, tmp_path / "again")
    with pytest.raises(ConfigError, match="two bundles have the id 'golden'"):
        create_app(read_settings(bundle=(str(golden), str(again)), threads=1))
    with pytest.raises(ConfigError, match="the runtimes are auto, cpu"):
        create_app(read_settings(bundle=(str(golden),), runtime="tpu"))
    with pytest.raises(BundleError, match="none of the bundled models"):
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
def test_every_runtime_of_the_table_keeps_the_protocol(golden, picture, name):
    import numpy as np

    from service.runtimes.onnxruntime import available_providers

    if name == "gpu" and "CUDAExecutionProvider" not in available_providers():
        with pytest.raises(ConfigError, match="has no CUDAExecutionProvider"):
            open_runtime(name, read_bundle(golden))
        return
    runtime = open_runtime(name, read_bundle(golden), threads=1)
    pixels, context, target = picture[None], np.array([[0, 1, 2, -1]]), np.array([[5, 6]])
    outputs = runtime.encode(pixels, ["tokens", "mean"])
    tokens = runtime.encode_context(pixels, context)

    assert outputs["tokens"].shape == (1, 16, 32)
    assert outputs["mean"].shape == (1, 32)
    assert tokens.shape == (1, 4, 32)
    assert runtime.predict(tokens, context, target).shape == (1, 2, 32)
