"""Broken images and the shape of an error, for the tests of bad input."""

import io
import struct
import zlib

import numpy as np

EMBED, PREDICT = "/v1/images/embeddings", "/v1/predict"


RNG = np.random.default_rng(0)


NOISE = RNG.integers(0, 256, (40, 60, 3), dtype=np.uint8)


def encoded(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def huge_png(width, height):
    """A PNG whose header says so; its data is a few bytes."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")
    )


def assert_error(response, status, code, param=None):
    assert (response.status_code, response.json()["error"]["code"]) == (status, code), response.text
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["message"]
    assert "Traceback" not in response.text
    assert response.headers["x-request-id"]
    if param is not None:
        assert error["param"] == param
