"""Every list and text that a client controls has a bound, and what is beyond it is said with the bound and the value."""

import base64
import json
import time

import numpy as np
import pytest

from service.api.parsing import read_query
from service.errors import InvalidRequest
from tests.service.api.bad_input import EMBED, PREDICT, assert_error, huge_png
from tests.service.conftest import as_png


def mask(width, height):
    return base64.b64encode(as_png(np.ones((height, width), np.uint8))).decode()


def predict(client, png, **request):
    return client.post(PREDICT, files={"file": png}, data={"request": json.dumps(request)})


@pytest.mark.parametrize("kind", [None, "application/x-www-form-urlencoded", "text/plain"])
def test_json_without_its_content_type_gets_a_hint(client, png, kind):
    body = json.dumps({"input": base64.b64encode(png).decode()})
    response = client.post("/v1/embeddings", content=body, headers={"content-type": kind} if kind else {})
    assert_error(response, 400, "bad_request")
    assert "-H 'content-type: application/json'" in response.json()["error"]["message"]


def test_curls_default_content_type_is_fine_for_an_image(client, png):
    headers = {"content-type": "application/x-www-form-urlencoded"}
    assert client.post(EMBED, content=png, headers=headers).status_code == 200


@pytest.mark.parametrize("encode", [base64.encodebytes, base64.urlsafe_b64encode], ids=["line-wrapped", "URL-safe"])
def test_other_forms_of_base64_give_the_same_vector(client, png, encode):
    plain, other = (
        client.post("/v1/embeddings", json={"input": text.decode()}) for text in (base64.b64encode(png), encode(png))
    )
    assert other.status_code == 200, other.text
    assert other.json()["data"] == plain.json()["data"]
    targets = [{"mask": encode(as_png(np.eye(4, dtype=np.uint8))).decode()}]
    assert predict(client, png, targets=targets).status_code == 200


def test_what_a_client_sends_is_not_echoed_at_length(client, alive, png):
    long, text = "x" * 5000, base64.b64encode(png).decode()
    responses = [
        client.post("/v1/embeddings", json={"input": text, long: 1}),
        client.post("/v1/embeddings", json={"input": text, "pooling": long}),
        client.post("/v1/embeddings", json={"input": text, "fit": long}),
        client.post("/v1/embeddings", json={"input": text, "model": long}),
        client.post("/v1/embeddings", json={"input": {long: 1}}),
        client.post(EMBED, content=png, params={long: 1}),
        client.post(EMBED, files={"file": png}, headers={"accept": "text/" + "x" * 3000}),
        client.post(EMBED, files={"file": png}, headers={"accept": "text/" + "x" * 5000}),
        client.post(EMBED, files={long[:3000]: png}),
        client.post(EMBED, content=b"{}", headers={"content-type": "text/" + long}),
        client.get(f"/v1/models/{long}"),
        predict(client, png, targets=[{long: 1}]),
        predict(client, png, targets=[{"patches": [1]}], **{"return": [long]}),
    ]
    for response in responses:
        assert response.status_code in (400, 404, 406), response.text
        error = response.json()["error"]
        assert "x" * 201 not in response.text
        assert len(error["message"]) < 500
        assert len(error["param"] or "") <= 200


@pytest.mark.parametrize("query", ["a=1&" * 64, "&" * 60_000])
def test_a_query_is_bounded(client, alive, png, query):
    response = client.post(f"{EMBED}?{query}", content=png)
    assert_error(response, 400, "bad_request")
    assert "the query has" in response.json()["error"]["message"]


def test_a_query_of_many_bytes_is_not_parsed():
    with pytest.raises(InvalidRequest, match="the query has 70,008 bytes and 1 fields"):
        read_query(b"pooling=" + b"x" * 70_000)


def test_tokens_are_returned_once(client, alive, png):
    start = time.monotonic()
    for returns in (["predicted"] * 50_000, ["predicted", "predicted"], ["predicted", "actual", "predicted"]):
        assert_error(
            predict(client, png, targets=[{"patches": [1]}], **{"return": returns}), 400, "bad_request", "return"
        )
    assert time.monotonic() - start < 5


def test_return_may_be_repeated_in_the_query(client, png):
    targets = json.dumps([{"patches": [3]}])
    ways = [["predicted", "actual"], "predicted,actual", '["predicted", "actual"]']
    for way in ways:
        response = client.post(PREDICT, content=png, params={"targets": targets, "return": way})
        assert response.status_code == 200, response.text
        assert {"predicted", "actual"} <= set(response.json()["targets"][0])


def test_masks_have_a_budget_of_pixels_a_request(make_client, png):
    with make_client(max_mask_pixels=1000) as client:
        assert predict(client, png, targets=[{"mask": mask(10, 50)}], context={"mask": mask(5, 100)}).status_code in (
            200,
            422,
        )
        targets = [{"mask": mask(10, 50)}, {"patches": [0]}, {"mask": mask(10, 50)}]
        response = predict(client, png, targets=targets, context={"mask": mask(1, 1)})
        assert_error(response, 413, "image_too_large", "context.mask")
        assert "1,000 pixels" in response.json()["error"]["message"]
        assert "1,001" in response.json()["error"]["message"]


def test_64_large_masks_are_told_from_their_headers(client, alive, png):
    text = base64.b64encode(huge_png(4096, 4096)).decode()
    start = time.monotonic()
    response = predict(client, png, targets=[{"mask": text}] * 64)
    assert_error(response, 413, "image_too_large", "targets[1].mask")
    assert time.monotonic() - start < 1


@pytest.mark.parametrize("region", [[], 1, "x", None])
def test_a_target_that_is_not_a_region(client, alive, png, region):
    assert_error(predict(client, png, targets=[{"patches": [0]}, region]), 400, "bad_request")


def test_a_response_that_never_fits_is_refused_before_anything_is_computed(make_client, png):
    with make_client(max_bytes_in_flight=20_000) as client:
        response = client.post(EMBED, files=[("file", png)] * 4, params={"output": "patches"})
        assert_error(response, 400, "bad_request")
        assert "encoding_format=base64" in response.json()["error"]["message"]
        assert client.post(EMBED, content=png).status_code == 200


def test_encoding_is_under_the_deadline(make_client, png, monkeypatch):
    import service.api.v1.embeddings as module

    def slow(*_arguments):
        for _ in range(100):
            time.sleep(0.05)
            yield b" "

    monkeypatch.setattr(module, "as_pieces", slow)
    monkeypatch.setattr(module, "embedding_size", lambda *_: 100_000)
    with make_client(deadline_seconds=0.5) as client:
        start = time.monotonic()
        assert_error(client.post(EMBED, content=png), 504, "deadline_exceeded")
        assert time.monotonic() - start < 3
