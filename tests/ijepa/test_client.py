"""Both clients against a server with the golden bundle: the same results as in this process."""

import asyncio
import socket
import threading
import time

import numpy as np
import pytest

import ijepa
from ijepa.errors import APIError


@pytest.fixture(scope="module")
def url(golden):
    """A server on a free port, ready."""
    import uvicorn

    from service.app import create_app
    from service.settings import read_settings

    listener = socket.create_server(("127.0.0.1", 0))
    app = create_app(read_settings(bundle=(str(golden),), runtime="onnxruntime", threads=1))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        wait_until_ready(address)
        yield address
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


def wait_until_ready(address: str) -> None:
    import httpx2

    deadline = time.monotonic() + 30
    while httpx2.get(f"{address}/health/ready").status_code != 200:
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture(params=["sync", "async"])
def call(request, url):
    """A function that calls a method of a client."""

    def sync_call(method, *arguments, **options):
        with ijepa.Client(url) as client:
            return getattr(client, method)(*arguments, **options)

    async def async_call(method, *arguments, **options):
        async with ijepa.AsyncClient(url) as client:
            return await getattr(client, method)(*arguments, **options)

    if request.param == "sync":
        return sync_call
    return lambda *arguments, **options: asyncio.run(async_call(*arguments, **options))


@pytest.mark.parametrize(
    "options",
    [{}, {"output": "patches"}, {"pooling": "last4", "normalize": True}, {"fit": "squash"}, {"dtype": "float16"}],
    ids=str,
)
def test_embeddings_are_those_of_this_process(call, model, image, png, options):
    images = [image, png] * 21
    received, expected = call("embed", iter(images), **options), model.embed(images, **options)
    assert (received.dtype, received.shape) == (expected.dtype, expected.shape)
    tolerance = 1e-5 if received.dtype == np.float32 else 1e-2
    np.testing.assert_allclose(received, expected, rtol=tolerance, atol=tolerance)


def test_predictions_are_those_of_this_process(call, model, image):
    mask = np.zeros((24, 40), dtype=bool)
    mask[4:12, 10:20] = True
    regions = {
        "targets": [{"box": [0.4, 0.4, 0.6, 0.6]}, {"patches": [0]}, {"mask": mask}],
        "context": {"box": [0, 0, 1, 1]},
    }
    received, expected = call("predict", image, **regions), model.predict(image, **regions)
    assert (received.grid, received.warnings) == (expected.grid, expected.warnings)
    np.testing.assert_array_equal(received.context_patches, expected.context_patches)
    for here, there in zip(expected.targets, received.targets, strict=True):
        for name in ("patches", "box", "predicted", "actual", "energy_per_patch", "energy", "cosine"):
            np.testing.assert_allclose(getattr(there, name), getattr(here, name), rtol=1e-4, atol=1e-5)
        assert here.z is there.z is None


def test_photographs_through_a_server_are_those_of_this_process(url, model, photos):
    paths = sorted(path for path in photos.iterdir() if path.suffix == ".JPEG")
    with ijepa.Client(url) as client:
        np.testing.assert_allclose(client.embed(paths), model.embed(paths), rtol=1e-5, atol=1e-5)


def test_a_broken_image_is_named(call, png):
    with pytest.raises(APIError, match=r"^images\[33\]: ") as caught:
        call("embed", [png] * 33 + [b"not an image"])
    assert (caught.value.status, caught.value.code, caught.value.param) == (415, "unsupported_media_type", "file[1]")
    assert caught.value.request_id


def test_a_region_that_cannot_be_used_is_the_servers_error(call, png):
    with pytest.raises(APIError, match=r"targets\[0\]") as caught:
        call("predict", png, targets=[{"patches": [99]}])
    assert (caught.value.status, caught.value.code, caught.value.param) == (422, "invalid_region", "targets[0]")


def test_an_unknown_model_is_the_servers_error(url, png):
    with ijepa.Client(url, model="nothing") as client, pytest.raises(APIError) as caught:
        client.embed(png)
    assert (caught.value.status, caught.value.code) == (404, "model_not_found")


def test_a_server_without_energies_says_so(call, png):
    with pytest.raises(APIError, match="this server has no /v1/energy"):
        call("energy", png)


def test_coroutines_share_a_client(url, model, image):
    async def work():
        async with ijepa.AsyncClient(url) as client:
            return await asyncio.gather(*(client.embed(image + np.uint8(i)) for i in range(8)))

    for i, vectors in enumerate(asyncio.run(work())):
        np.testing.assert_allclose(vectors, model.embed(image + np.uint8(i)), rtol=1e-5, atol=1e-5)
