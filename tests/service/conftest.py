"""A server with the golden bundle, in this process, and images to send it."""

import asyncio
import io
import threading
import time

import numpy as np
import pytest
from PIL import Image


def as_png(pixels: np.ndarray) -> bytes:
    """A lossless image."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def wait_until_ready(client) -> None:
    """Until the canonical image has been checked."""
    deadline = time.monotonic() + 30
    while client.get("/health").status_code != 200:
        assert time.monotonic() < deadline, client.get("/health").text
        time.sleep(0.01)


@pytest.fixture(scope="session")
def image() -> np.ndarray:
    """Noise of exactly the golden model's size."""
    return np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)


@pytest.fixture(scope="session")
def png(image) -> bytes:
    """The image's bytes."""
    return as_png(image)


@pytest.fixture(scope="session")
def make_client(golden):
    """A function from settings to a started server's client, to be used as a context manager."""
    from contextlib import contextmanager

    from service.app import create_app
    from service.settings import read_settings
    from tests.service.openapi import ValidatingClient

    @contextmanager
    def make(**settings):
        app = create_app(
            read_settings(
                **{"bundle": (str(golden),), "runtime": "onnxruntime", "precision": "float32", "threads": 1, **settings}
            )
        )
        with ValidatingClient(app, "http://localhost", raise_server_exceptions=False) as client:
            wait_until_ready(client)
            yield client

    return make


@pytest.fixture(scope="session")
def client(make_client):
    """One server for all tests that do not change it."""
    with make_client() as client:
        yield client


@pytest.fixture(scope="module")
def loop():
    """An event loop on a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield loop
    loop.call_soon_threadsafe(loop.stop)
    thread.join(5)
    loop.close()
