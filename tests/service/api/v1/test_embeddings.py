import base64
import io
import json

import numpy as np
import pytest

from models.bundle.reader import read_bundle
from models.runtimes.onnxruntime import Session
from tests.service.conftest import as_png

ROUTES = ("/v1/embeddings", "/v1/images/embeddings")


def data_url(data):
    return "data:image/png;base64," + base64.b64encode(data).decode()


def vector(response):
    assert response.status_code == 200, response.text
    return np.array(response.json()["data"][0]["embedding"], dtype=np.float32)


@pytest.fixture(scope="module")
def expected(golden, image):
    """What ONNX Runtime says of the image without any of the service."""
    outputs = Session(read_bundle(golden).path("encoder.onnx")).run(["mean", "last4", "tokens"], pixels=image[None])
    return dict(zip(("mean", "last4", "tokens"), (array[0] for array in outputs), strict=True))


@pytest.mark.parametrize("route", ROUTES)
def test_json_form_and_raw_bytes_give_the_same_vector(client, png, expected, route):
    text = base64.b64encode(png).decode()
    ways = [
        client.post(route, json={"input": data_url(png)}),
        client.post(route, json={"input": text}),
        client.post(route, json={"input": [{"image": text}]}),
        client.post(route, files={"file": png}),
        client.post(route, content=png, headers={"content-type": "image/png"}),
        client.post(route, content=png, headers={"content-type": "application/octet-stream"}),
    ]
    for response in ways:
        assert np.abs(vector(response) - expected["mean"]).max() < 1e-5


def test_options_have_the_same_names_in_body_form_and_query(client, png, expected):
    options = {"pooling": "last4", "normalize": True}
    ways = [
        client.post("/v1/embeddings", json={"input": data_url(png), **options}),
        client.post("/v1/embeddings", files={"file": png}, data={"request": json.dumps(options)}),
        client.post("/v1/embeddings", content=png, params={"pooling": "last4", "normalize": "true"}),
    ]
    for response in ways:
        assert np.abs(vector(response) - expected["last4"] / np.linalg.norm(expected["last4"])).max() < 1e-5


def test_the_answer_is_openais(client, png):
    answer = client.post("/v1/embeddings", json={"input": [data_url(png)] * 2, "model": "golden", "user": "u"}).json()

    assert answer["object"] == "list"
    assert answer["model"] == "golden"
    assert [item["index"] for item in answer["data"]] == [0, 1]
    assert answer["usage"] == {"prompt_tokens": 32, "total_tokens": 32, "image_pixels": 512}


def test_base64_is_little_endian_numbers(client, png, expected):
    for dtype, tolerance in (("float32", 1e-5), ("float16", 1e-2)):
        answer = client.post(
            "/v1/embeddings", json={"input": data_url(png), "encoding_format": "base64", "dtype": dtype}
        )
        raw = base64.b64decode(answer.json()["data"][0]["embedding"])
        given = np.frombuffer(raw, dtype=np.dtype(dtype).newbyteorder("<"))
        assert np.abs(given - expected["mean"]).max() < tolerance


def test_patches_are_rows_of_the_grid(client, png, expected):
    item = client.post("/v1/images/embeddings", files={"file": png}, params={"output": "patches"}).json()["data"][0]

    assert item["shape"] == [4, 4, 32]
    assert np.abs(np.array(item["embedding"]) - expected["tokens"]).max() < 1e-5


@pytest.mark.parametrize(("output", "shape"), [("pooled", (3, 32)), ("patches", (3, 4, 4, 32))])
def test_npy_is_one_array(client, png, expected, output, shape):
    files = [("file", png)] * 3
    response = client.post(
        "/v1/images/embeddings", files=files, params={"output": output}, headers={"accept": "application/x-npy"}
    )
    array = np.load(io.BytesIO(response.content), allow_pickle=False)

    assert response.headers["content-type"] == "application/x-npy"
    assert array.shape == shape
    wanted = expected["mean"] if output == "pooled" else expected["tokens"].reshape(4, 4, 32)
    assert np.abs(array[2] - wanted).max() < 1e-5


@pytest.mark.parametrize(
    ("accept", "media"),
    [
        ("*/*", "application/json"),
        ("application/*", "application/json"),
        ("text/html, application/x-npy;q=0.9", "application/x-npy"),
        ("application/json;q=0.1, application/x-npy", "application/x-npy"),
    ],
)
def test_accept_chooses(client, png, accept, media):
    response = client.post("/v1/images/embeddings", files={"file": png}, headers={"accept": accept})
    assert response.headers["content-type"] == media


def test_an_image_alone_and_among_31_others_is_the_same(client, png):
    draw = np.random.default_rng(1)
    others = [as_png(draw.integers(0, 256, (20, 30, 3), dtype=np.uint8)) for _ in range(31)]
    alone = vector(client.post("/v1/images/embeddings", files={"file": png}))
    files = [("file", data) for data in [*others[:17], png, *others[17:]]]
    together = client.post("/v1/images/embeddings", files=files).json()["data"][17]["embedding"]

    assert np.abs(np.array(together) - alone).max() <= 1e-5 * np.abs(alone).max()


def test_fit_chooses_what_is_seen(client):
    wide = np.zeros((16, 48, 3), dtype=np.uint8)
    wide[:, :16] = 255
    middle = as_png(wide[:, 16:32])

    cropped = vector(client.post("/v1/images/embeddings", files={"file": as_png(wide)}))
    squashed = vector(client.post("/v1/images/embeddings", files={"file": as_png(wide)}, params={"fit": "squash"}))

    assert np.allclose(cropped, vector(client.post("/v1/images/embeddings", files={"file": middle})), atol=1e-5)
    assert not np.allclose(cropped, squashed, atol=1e-3)


def test_the_openai_client_gets_the_same_vector(make_client, png, expected):
    """Its default asks for base64 and decodes it."""
    import httpx
    from openai import OpenAI

    with make_client() as ours:

        def hand_over(request: httpx.Request) -> httpx.Response:
            response = ours.request(
                request.method, request.url.path, content=request.content, headers=dict(request.headers)
            )
            return httpx.Response(response.status_code, headers=dict(response.headers), content=response.content)

        http = httpx.Client(transport=httpx.MockTransport(hand_over))
        client = OpenAI(base_url="http://localhost/v1", api_key="none", http_client=http)  # type: ignore[arg-type]
        answer = client.embeddings.create(model="golden", input=data_url(png))

    assert np.abs(np.array(answer.data[0].embedding) - expected["mean"]).max() < 1e-5
    assert answer.usage.total_tokens == 16


def test_timings_and_a_request_id_come_along(client, png):
    response = client.post("/v1/images/embeddings", files={"file": png}, headers={"x-request-id": "mine-1"})

    assert response.headers["x-request-id"] == "mine-1"
    assert [part.split(";")[0].strip() for part in response.headers["server-timing"].split(",")] == [
        "decode",
        "queue",
        "inference",
    ]
    assert (
        len(
            client.post("/v1/images/embeddings", headers={"x-request-id": "not printable \x01"}).headers["x-request-id"]
        )
        == 32
    )


def test_the_images_of_one_request_are_not_overload_to_each_other(make_client, png):
    with make_client(queue_seconds=1e-6) as idle:
        for _ in range(3):
            response = idle.post("/v1/images/embeddings", files=[("file", png)] * 32)
            assert response.status_code == 200, response.text


def test_a_request_that_comes_when_too_much_waits_is_told_when_to_try_again(make_client, png):
    with make_client(queue_seconds=0.5) as busy:
        registry = busy.app.state.service.registry
        registry.known("golden")._operations["embed"].work.seconds_per_item = 60.0
        registry.admission.claim("another connection").admit(60.0)
        response = busy.post("/v1/images/embeddings", files={"file": png})
    assert (response.status_code, response.json()["error"]["code"]) == (429, "overloaded")
    assert response.headers["retry-after"] == "60"


def test_dimensions_are_checked_for_patches_too(client, png):
    for dimensions, status in ((32, 200), (128, 400)):
        query = {"output": "patches", "dimensions": dimensions}
        assert client.post("/v1/images/embeddings", files={"file": png}, params=query).status_code == status
