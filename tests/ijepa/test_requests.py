"""The requests of both clients, and what is made of the answers, without a server."""

import asyncio
import base64
import io
import json
import time

import httpx2
import numpy as np
import pytest

import ijepa
from ijepa.errors import (
    APIConnectionError,
    APIError,
    ConfigError,
    DataError,
    ImageError,
    OptionError,
    RegionError,
)
from ijepa.requests import MAX_IMAGES, MAX_IMAGES_PATCHES, EncodedImage, split
from tests.ijepa.conftest import as_png

URL = "http://server"


class Server:
    """Answers from a list, the last one for ever, and keeps what was asked."""

    def __init__(self, *answers):
        self.answers, self.asked, self.bodies = list(answers), [], []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.asked.append(request)
        self.bodies.append(parts_of(request))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        if callable(answer):
            return answer(self.bodies[-1])
        return httpx2.Response(answer.status_code, headers=answer.headers, content=answer.content)


def parts_of(request: httpx2.Request) -> tuple[dict, list[bytes]]:
    """The options and the images of a form."""
    boundary = request.headers["content-type"].partition("boundary=")[2].encode()
    options, images = {}, []
    for part in request.read().split(b"--" + boundary)[1:-1]:
        head, _, body = part.partition(b"\r\n\r\n")
        if b'name="request"' in head:
            options = json.loads(body)
        else:
            assert b'name="file"' in head
            images.append(body.removesuffix(b"\r\n"))
    return options, images


def npy(body) -> httpx2.Response:
    """An array with the size of each image in bytes as its embedding."""
    file = io.BytesIO()
    np.save(file, np.array([[len(data)] for data in body[1]], dtype=np.float32))
    return httpx2.Response(200, content=file.getvalue())


def error(status, code="bad_request", param=None, **headers) -> httpx2.Response:
    body = {"error": {"message": "that is wrong", "type": "invalid_request_error", "param": param, "code": code}}
    return httpx2.Response(status, json=body, headers={"x-request-id": "abc", **headers})


@pytest.fixture(autouse=True)
def slept(monkeypatch):
    """The pauses, which are not made."""
    pauses = []

    async def sleep(seconds):
        pauses.append(seconds)

    monkeypatch.setattr(time, "sleep", pauses.append)
    monkeypatch.setattr(asyncio, "sleep", sleep)
    return pauses


@pytest.fixture(params=["sync", "async"])
def connect(request):
    """A function from a server and a client's settings to a function that calls one of its methods."""

    def make(server, **settings):
        def call(method, *arguments, **options):
            transport = httpx2.MockTransport(server)
            if request.param == "sync":
                with ijepa.Client(URL, transport=transport, **settings) as client:
                    return getattr(client, method)(*arguments, **options)

            async def work():
                async with ijepa.AsyncClient(URL, transport=transport, **settings) as client:
                    return await getattr(client, method)(*arguments, **options)

            return asyncio.run(work())

        return call

    return make


def test_images_are_sent_as_they_are_with_the_options_beside_them(connect, png, image):
    server = Server(npy)
    vectors = connect(server, key="secret", model="golden")("embed", [png, image], normalize=True, fit="squash")
    np.testing.assert_array_equal(vectors[0], [len(png)])
    (request,), ((options, images),) = server.asked, server.bodies
    assert (request.method, str(request.url)) == ("POST", f"{URL}/v1/images/embeddings")
    assert request.headers["authorization"] == "Bearer secret"
    assert request.headers["accept"] == "application/x-npy"
    assert options == {"model": "golden", "output": "pooled", "normalize": True, "dtype": "float32", "fit": "squash"}
    assert images[0] == png
    from PIL import Image

    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(images[1]))), image)


@pytest.mark.parametrize(("output", "limit"), [("pooled", MAX_IMAGES), ("patches", MAX_IMAGES_PATCHES)])
def test_many_images_are_several_requests_in_order(connect, output, limit):
    server = Server(npy)
    images = (b"x" * i for i in range(1, 2 * limit + 4))
    vectors = connect(server)("embed", images, output=output)
    np.testing.assert_array_equal(vectors[:, 0], np.arange(1, 2 * limit + 4))
    assert [len(body[1]) for body in server.bodies] == [limit, limit, 3]


def test_an_image_above_the_limit_is_an_error_before_it_is_sent(connect, png, image):
    server = Server(npy)
    call = connect(server, max_body_bytes=len(png) - 1)
    message = (
        rf"^the image has {len(png):,} bytes, a request may have {len(png) - 1:,}; resize the image, or raise max_body"
    )
    for method, arguments in (("embed", {}), ("predict", {"boxes": [[0, 0, 0.5, 0.5]]}), ("energy", {})):
        with pytest.raises(ImageError, match=message):
            call(method, png, **arguments)
    with pytest.raises(ImageError, match=r"^images\[0\] has [\d,]+ bytes as lossless WebP or PNG, "):
        connect(server, max_body_bytes=100)("embed", [image])
    assert not server.asked
    assert connect(server, max_body_bytes=len(png))("embed", [png, png]).shape == (2, 1)
    assert [len(images) for _, images in server.bodies] == [1, 1]


def test_a_request_stays_below_the_limit_of_bytes():
    images = [EncodedImage(str(size), b"x" * size) for size in (4, 4, 4, 9, 10, 1, 1)]
    chunks = [[len(image.data) for image in chunk] for chunk in split(images, 3, 10)]
    assert chunks == [[4, 4], [4], [9], [10], [1, 1]]


def test_no_images_are_an_error(connect):
    with pytest.raises(DataError, match="there are no images"):
        connect(Server(npy))("embed", [])


def test_what_cannot_be_sent_is_an_error_before_anything_is_sent(connect, png):
    server = Server(npy)
    call = connect(server)
    with pytest.raises(ImageError, match=r"images\[1\] is of type int"):
        call("embed", [png, 1])
    with pytest.raises(DataError, match=r"missing\.png cannot be read"):
        call("embed", "missing.png")
    with pytest.raises(OptionError, match="output is 'x'"):
        call("embed", png, output="x")
    with pytest.raises(RegionError, match=r"targets\[0\] is "):
        call("predict", png, targets=[{}])
    with pytest.raises(OptionError, match="masks is 0"):
        call("energy", png, masks=0)
    assert not server.asked


def test_an_error_of_the_server_names_the_image_and_has_its_fields(connect):
    server = Server(npy, error(422, "invalid_image", "file[2]"))
    images = [b"x"] * MAX_IMAGES + [b"y", b"y", b"broken"]
    with pytest.raises(APIError, match=rf"^images\[{MAX_IMAGES + 2}\]: that is wrong$") as caught:
        connect(server)("embed", images)
    raised = caught.value
    assert (raised.status, raised.code, raised.param) == (422, "invalid_image", "file[2]")
    assert (raised.type, raised.request_id) == ("invalid_request_error", "abc")


@pytest.mark.parametrize("status", [429, 503])
def test_an_overloaded_server_is_asked_again_after_the_pause_it_wants(connect, png, slept, status):
    server = Server(error(status, **{"retry-after": "7"}), error(status), npy)
    assert connect(server)("embed", png).shape == (1, 1)
    assert slept == [7, 1.0]
    assert server.bodies[0] == server.bodies[2]


def test_a_broken_connection_is_tried_again(connect, png, slept):
    broken = httpx2.RemoteProtocolError("disconnected", request=httpx2.Request("POST", URL))
    assert connect(Server(broken, broken, npy))("embed", png).shape == (1, 1)
    assert slept == [0.5, 1.0]


def test_retries_have_an_end(connect, png, slept):
    refused = httpx2.ConnectError("refused", request=httpx2.Request("POST", URL))
    server = Server(refused)
    with pytest.raises(APIConnectionError, match="http://server/v1/images/embeddings cannot be reached: refused"):
        connect(server, retries=3)("embed", png)
    assert (len(server.asked), slept) == (4, [0.5, 1.0, 2.0])
    with pytest.raises(APIError) as caught:
        connect(server := Server(error(429, "overloaded")), retries=0)("embed", png)
    assert (caught.value.code, len(server.asked)) == ("overloaded", 1)


def test_a_pause_longer_than_the_timeout_is_not_made(connect, png, slept):
    with pytest.raises(APIError) as caught:
        connect(Server(error(503, "not_ready", **{"retry-after": "120"})), timeout=60)("embed", png)
    assert (caught.value.code, slept) == ("not_ready", [])


def test_a_timeout_is_not_repeated(connect, png):
    server = Server(httpx2.ReadTimeout("slow", request=httpx2.Request("POST", URL)))
    with pytest.raises(APIConnectionError, match="no answer within 60 s"):
        connect(server)("embed", png)
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (httpx2.Response(200, text="<html>"), "is it a server of ijepa"),
        (httpx2.Response(502, text="<html>bad gateway"), "HTTP 502: '<html>bad gateway'"),
        (httpx2.Response(400, json=["no"]), "HTTP 400"),
    ],
)
def test_an_answer_of_something_else_is_an_error(connect, png, answer, message):
    for method, arguments in (("embed", {}), ("predict", {"boxes": [[0, 0, 0.5, 0.5]]}), ("energy", {})):
        with pytest.raises(APIError, match=message) as caught:
            connect(Server(answer))(method, png, **arguments)
        assert caught.value.code == "unknown"


def test_regions_are_sent_as_the_api_has_them(connect, png):
    tokens = base64.b64encode(np.arange(6, dtype="<f4").tobytes()).decode()
    target = {
        "patches": [5, 6], "box": [0.25, 0.25, 0.75, 0.5], "energy": 0.5, "energy_per_patch": [0.4, 0.6],
        "z": 1.0, "z_per_patch": [0.5, 1.5], "cosine": 0.25, "predicted": tokens, "actual": tokens,
    }  # fmt: skip
    warning = {"code": "region_cut", "message": "targets[0] lies partly outside", "target": 0}
    body = {"object": "prediction", "model": "golden", "grid": [4, 4], "context_patches": [0, 1], "warnings": [warning]}
    server = Server(httpx2.Response(200, json={**body, "targets": [target]}))
    mask = np.eye(4, dtype=bool)
    targets = [
        {"box": (0, 0, 0.5, 0.5)},
        {"patches": np.array([5, 6])},
        {"mask": mask},
        {"mask": as_png(mask * np.uint8(9))},
    ]
    prediction = connect(server)("predict", png, targets, {"patches": [0, 1]})
    options, images = server.bodies[0]
    assert images == [png]
    assert options["targets"][:2] == [{"box": [0.0, 0.0, 0.5, 0.5]}, {"patches": [5, 6]}]
    from models.images.decode import decode_mask

    for sent in options["targets"][2:]:
        np.testing.assert_array_equal(decode_mask(base64.b64decode(sent["mask"])), mask)
    assert options["context"] == {"patches": [0, 1]}
    assert (options["return"], options["encoding_format"]) == (["predicted", "actual"], "base64")
    assert (prediction.grid, prediction.warnings) == ((4, 4), ("targets[0] lies partly outside",))
    (read,) = prediction.targets
    assert (read.box, read.energy, read.z, read.cosine) == ((0.25, 0.25, 0.75, 0.5), 0.5, 1.0, 0.25)
    np.testing.assert_array_equal(read.predicted, np.arange(6).reshape(2, 3))
    np.testing.assert_array_equal(read.z_per_patch, [0.5, 1.5])


def test_energies_are_read_as_the_api_has_them(connect, png):
    body = {"grid": [1, 2], "energy": [[1.0, 2.0]], "mean": 1.5, "masks": 8, "seed": 3, "z": None}
    server = Server(httpx2.Response(200, json=body))
    energy = connect(server)("energy", png, seed=3)
    assert server.bodies[0][0] == {"seed": 3}
    np.testing.assert_array_equal(energy.energy, [[1.0, 2.0]])
    assert (energy.mean, energy.masks, energy.seed, energy.z) == (1.5, 8, 3, None)


def test_a_server_without_the_route_is_said(connect, png):
    with pytest.raises(APIError, match=r"this server has no /v1/energy") as caught:
        connect(Server(error(404, "not_found")))("energy", png)
    assert caught.value.status == 404


@pytest.mark.parametrize(
    "settings", [{"url": "localhost:8000"}, {"timeout": 0}, {"retries": -1}, {"max_body_bytes": 0}], ids=str
)
def test_settings_that_cannot_work_are_said(settings):
    for kind in (ijepa.Client, ijepa.AsyncClient):
        with pytest.raises(ConfigError, match=next(iter(settings))):
            kind(**{"url": URL, **settings})


def test_a_server_below_a_path_is_asked_there(png):
    server = Server(npy)
    with ijepa.Client(f"{URL}/vision/", transport=httpx2.MockTransport(server)) as client:
        client.embed(png)
    assert str(server.asked[0].url) == f"{URL}/vision/v1/images/embeddings"
