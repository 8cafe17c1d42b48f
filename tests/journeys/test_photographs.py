"""Photographs as people have them through the HTTP API, in all three ways of sending, with the bundled model."""

import base64
from pathlib import Path

import numpy as np
import pytest

WAYS = {
    "json": lambda data: {"json": {"input": base64.b64encode(data).decode()}},
    "form": lambda data: {"files": {"file": data}},
    "raw": lambda data: {"content": data, "headers": {"content-type": "application/octet-stream"}},
}


@pytest.fixture(scope="module")
def bundled():
    """A client of a server with the bundled model."""
    from service.app import create_app
    from service.settings import read_settings
    from tests.service.conftest import wait_until_ready
    from tests.service.openapi import ValidatingClient

    with ValidatingClient(
        create_app(read_settings(threads=1)), "http://localhost", raise_server_exceptions=False
    ) as client:
        wait_until_ready(client)
        yield client


def every_way(client, path: Path) -> list[np.ndarray]:
    vectors = []
    for options in WAYS.values():
        response = client.post("/v1/images/embeddings", **options(path.read_bytes()))
        assert response.status_code == 200, (path.name, response.text)
        vectors.append(np.array(response.json()["data"][0]["embedding"]))
    return vectors


@pytest.mark.parametrize("kind", ["photos", "tiny_imagenet"])
def test_every_photograph_is_embedded_alike_however_it_is_sent(bundled, request, kind):
    paths = sorted(path for path in request.getfixturevalue(kind).rglob("*") if path.is_file())
    assert len(paths) == (100 if kind == "photos" else 300)
    for path in paths:
        first, *others = every_way(bundled, path)
        assert np.isfinite(first).all()
        for other in others:
            assert np.abs(other - first).max() <= 1e-5 * np.abs(first).max(), path.name


def test_a_region_of_every_photograph_is_predicted(bundled, photos):
    for path in sorted(photos.iterdir()):
        response = bundled.post(
            "/v1/predict",
            content=path.read_bytes(),
            params={"targets": '[{"box": [0.3, 0.3, 0.7, 0.7]}]', "fit": "squash"},
        )
        assert response.status_code == 200, (path.name, response.text)
        assert np.isfinite(response.json()["targets"][0]["energy"])
