"""Every kind of bad image gets its code, unusual ones are read, and the next request is answered."""

import base64

import numpy as np
import pytest
from PIL import Image

from tests.service.api.bad_input import EMBED, NOISE, assert_error, encoded, huge_png
from tests.service.conftest import as_png

JPEG = encoded(Image.fromarray(NOISE), "JPEG")


IMAGES = {
    "nothing": (b"", 400, "bad_request"),
    "text called jpg": (b"not an image", 415, "unsupported_media_type"),
    "svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", 415, "unsupported_media_type"),
    "truncated jpeg": (JPEG[: len(JPEG) // 2], 422, "invalid_image"),
    "jpeg of a header only": (JPEG[:4], 422, "invalid_image"),
    "30000 x 30000 png": (huge_png(30_000, 30_000), 413, "image_too_large"),
    "png without data": (huge_png(30, 30), 422, "invalid_image"),
    "palette png without a palette": (None, 422, "invalid_image"),
    "broken gif": (b"GIF89a" + b"\xff" * 20, 422, "invalid_image"),
    "broken webp": (b"RIFF\x10\0\0\0WEBPVP8 ", 422, "invalid_image"),
    "broken tiff": (b"II*\0\x08\0\0\0\xff\xff", 422, "invalid_image"),
    "broken bmp": (b"BM" + b"\0" * 30, 422, "invalid_image"),
}


def palette_png_without_palette():
    """A PNG of colour type 3 without PLTE: Pillow raises AssertionError."""
    whole = encoded(Image.fromarray(NOISE).convert("P"), "PNG")
    start = whole.index(b"PLTE") - 4
    length = int.from_bytes(whole[start : start + 4], "big")
    return whole[:start] + whole[start + 12 + length :]


@pytest.mark.parametrize("name", IMAGES)
def test_bytes_that_are_not_a_complete_image(client, alive, name):
    data, status, code = IMAGES[name]
    data = palette_png_without_palette() if data is None else data
    assert_error(client.post(EMBED, content=data, headers={"content-type": "image/jpeg"}), status, code)
    if data:
        assert_error(client.post(EMBED, files=[("file", as_png(NOISE)), ("file", data)]), status, code, "file[1]")
        text = base64.b64encode(data).decode()
        assert_error(client.post("/v1/embeddings", json={"input": [text]}), status, code, "input[0]")


@pytest.mark.parametrize(
    ("unusual", "kind", "options"),
    [
        (Image.fromarray(NOISE).convert("CMYK"), "JPEG", {}),
        (Image.fromarray(NOISE[..., 0].astype(np.uint16) * 257), "PNG", {}),
        (Image.fromarray(NOISE).convert("P"), "PNG", {"transparency": 3}),
        (Image.fromarray(np.dstack([NOISE, NOISE[..., :1]])), "WEBP", {"lossless": True}),
        (Image.fromarray(NOISE[..., 0]), "TIFF", {}),
        (Image.fromarray(NOISE[..., 0].astype(np.float32)), "TIFF", {}),
        (Image.fromarray(NOISE[..., 0] > 100), "PNG", {}),
        (Image.fromarray(NOISE).convert("LA"), "PNG", {}),
        (Image.fromarray(NOISE[:1, :1]), "BMP", {}),
        (
            Image.fromarray(NOISE).convert("P"),
            "GIF",
            {"save_all": True, "append_images": [Image.new("P", (60, 40))] * 3},
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else getattr(value, "mode", ""),
)
def test_unusual_images_are_images(client, alive, unusual, kind, options):
    """CMYK, 16 bits, palettes with alpha, floats, one bit, one pixel, animations."""
    response = client.post(EMBED, content=encoded(unusual, kind, **options))
    assert response.status_code == 200, response.text
    assert np.isfinite(response.json()["data"][0]["embedding"]).all()


def test_the_first_frame_of_an_animation_is_what_is_seen(client):
    first, other = Image.fromarray(NOISE).convert("P"), Image.new("P", (60, 40))
    moving = encoded(first, "GIF", save_all=True, append_images=[other])
    still = encoded(first, "GIF")
    a, b = (client.post(EMBED, content=data).json()["data"] for data in (moving, still))
    assert a == b


def test_an_exif_rotated_image_is_seen_upright(client):
    exif = Image.Exif()
    exif[274] = 8
    upright = Image.fromarray(NOISE)
    turned = encoded(upright.rotate(-90, expand=True), "PNG", exif=exif)
    a, b = (client.post(EMBED, content=data).json()["data"] for data in (turned, encoded(upright, "PNG")))
    assert a == b


def test_metadata_that_cannot_be_read_does_not_spoil_an_image(client):
    """EXIF whose tags lie about their sizes: Pillow raises on reading or rewriting it, but the pixels are whole."""
    plain = client.post(EMBED, content=JPEG).json()["data"]
    for seed in range(60):
        draw = np.random.default_rng(seed)
        exif = Image.Exif()
        exif[274] = 1
        exif[271] = "maker" * 5
        block = bytearray(exif.tobytes())
        for _ in range(4):
            block[draw.integers(6, len(block))] = draw.integers(0, 256)
        response = client.post(EMBED, content=encoded(Image.fromarray(NOISE), "JPEG", exif=bytes(block)))
        assert response.status_code in (200, 422), response.text
    assert client.post(EMBED, content=JPEG).json()["data"] == plain


def test_memory_does_not_grow_with_bad_images(client):
    import gc
    import resource

    bad = [data for data, _, _ in IMAGES.values() if data]

    def feed(rounds):
        for _ in range(rounds):
            for data in bad:
                client.post(EMBED, content=data)
        gc.collect()
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    before = feed(10)
    assert feed(40) - before < 20_000, "kilobytes"
