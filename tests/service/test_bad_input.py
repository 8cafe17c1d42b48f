"""Each kind of bad input gets its code, and the next request is answered."""

import base64
import io
import json
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from tests.service.conftest import as_png

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


JPEG = encoded(Image.fromarray(NOISE), "JPEG")

PICTURES = {
    "nothing": (b"", 400, "bad_request"),
    "text called jpg": (b"I am no picture", 415, "unsupported_media_type"),
    "svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", 415, "unsupported_media_type"),
    "truncated jpeg": (JPEG[: len(JPEG) // 2], 422, "invalid_image"),
    "jpeg of a header only": (JPEG[:4], 422, "invalid_image"),
    "30000 x 30000 png": (huge_png(30_000, 30_000), 413, "image_too_large"),
    "png without data": (huge_png(30, 30), 422, "invalid_image"),
    "broken gif": (b"GIF89a" + b"\xff" * 20, 422, "invalid_image"),
    "broken webp": (b"RIFF\x10\0\0\0WEBPVP8 ", 422, "invalid_image"),
    "broken tiff": (b"II*\0\x08\0\0\0\xff\xff", 422, "invalid_image"),
    "broken bmp": (b"BM" + b"\0" * 30, 422, "invalid_image"),
}


@pytest.fixture
def alive(client, png):
    """After the test the server answers as before."""
    before = client.post(EMBED, files={"file": png}).json()
    yield
    assert client.post(EMBED, files={"file": png}).json() == before


def assert_error(response, status, code, param=None):
    assert (response.status_code, response.json()["error"]["code"]) == (status, code), response.text
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["message"]
    assert "Traceback" not in response.text
    assert response.headers["x-request-id"]
    if param is not None:
        assert error["param"] == param


@pytest.mark.parametrize("name", PICTURES)
def test_bytes_that_are_no_whole_picture(client, alive, name):
    data, status, code = PICTURES[name]
    assert_error(client.post(EMBED, content=data, headers={"content-type": "image/jpeg"}), status, code)
    if data:
        assert_error(client.post(EMBED, files=[("file", as_png(NOISE)), ("file", data)]), status, code, "file[1]")
        text = base64.b64encode(data).decode()
        assert_error(client.post("/v1/embeddings", json={"input": [text]}), status, code, "input[0]")


@pytest.mark.parametrize(
    ("image", "kind", "options"),
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
def test_unusual_pictures_are_pictures(client, alive, image, kind, options):
    """CMYK, 16 bits, palettes with alpha, floats, one bit, one pixel, animations."""
    response = client.post(EMBED, content=encoded(image, kind, **options))
    assert response.status_code == 200, response.text
    assert np.isfinite(response.json()["data"][0]["embedding"]).all()


def test_the_first_frame_of_an_animation_is_what_is_seen(client):
    first, other = Image.fromarray(NOISE).convert("P"), Image.new("P", (60, 40))
    moving = encoded(first, "GIF", save_all=True, append_images=[other])
    still = encoded(first, "GIF")
    a, b = (client.post(EMBED, content=data).json()["data"] for data in (moving, still))
    assert a == b


def test_an_exif_rotated_picture_is_seen_upright(client):
    exif = Image.Exif()
    exif[274] = 8
    upright = Image.fromarray(NOISE)
    turned = encoded(upright.rotate(-90, expand=True), "PNG", exif=exif)
    a, b = (client.post(EMBED, content=data).json()["data"] for data in (turned, encoded(upright, "PNG")))
    assert a == b


@pytest.mark.parametrize(
    ("region", "status", "code"),
    [
        ({"box": [0.5, 0.5, 1.5, 1.0]}, 422, "invalid_region"),
        ({"box": [-0.5, 0.0, 0.5, 0.5]}, 422, "invalid_region"),
        ({"box": [0.5, 0.5, 0.5, 0.6]}, 422, "invalid_region"),
        ({"box": [0.1, 0.2, 0.3]}, 400, "bad_request"),
        ({"box": ["a", 0, 1, 1]}, 400, "bad_request"),
        ({"patches": [99]}, 422, "invalid_region"),
        ({"patches": []}, 422, "invalid_region"),
        ({"patches": list(range(16))}, 422, "invalid_region"),
        ({"box": [0, 0, 1, 1]}, 422, "invalid_region"),
        ({"mask": base64.b64encode(as_png(np.zeros((4, 4), np.uint8))).decode()}, 422, "invalid_region"),
        ({"mask": "not base64!"}, 400, "bad_request"),
        ({"mask": base64.b64encode(b"no png").decode()}, 400, "bad_request"),
        ({"mask": base64.b64encode(huge_png(30_000, 30_000)).decode()}, 413, "image_too_large"),
        ({"mask": base64.b64encode(huge_png(1_000_000, 1)).decode()}, 413, "image_too_large"),
        ({"mask": base64.b64encode(huge_png(30, 30)).decode()}, 400, "bad_request"),
        ({}, 400, "bad_request"),
        ({"box": [0, 0, 0.5, 0.5], "patches": [1]}, 400, "bad_request"),
        ({"circle": [0.5, 0.5, 0.1]}, 400, "unsupported_option"),
    ],
)
def test_regions_that_cannot_be_used(client, alive, png, region, status, code):
    request = (
        {"targets": [{"patches": [0]}, region]} if region != {"patches": list(range(16))} else {"targets": [region]}
    )
    response = client.post(PREDICT, files={"file": png}, data={"request": json.dumps(request)})
    assert_error(response, status, code)
    assert "targets" in (response.json()["error"]["param"] or "")


def test_a_region_in_what_the_crop_cuts_away_suggests_squash(client, alive):
    wide = as_png(np.zeros((16, 48, 3), dtype=np.uint8))
    request = {"targets": [{"box": [0.0, 0.0, 0.2, 1.0]}]}
    response = client.post(PREDICT, files={"file": wide}, data={"request": json.dumps(request)})
    assert_error(response, 422, "invalid_region", "targets[0]")
    assert "squash" in response.json()["error"]["message"]


@pytest.mark.parametrize(
    ("options", "code", "param"),
    [
        ({"colour": "blue"}, "unsupported_option", "colour"),
        ({"pooling": "max"}, "unsupported_option", "pooling"),
        ({"output": "tokens"}, "unsupported_option", "output"),
        ({"encoding_format": "hex"}, "unsupported_option", "encoding_format"),
        ({"dtype": "int8"}, "unsupported_option", "dtype"),
        ({"dtype": "float16"}, "unsupported_option", "dtype"),
        ({"fit": "stretch"}, "unsupported_option", "fit"),
        ({"dimensions": 5}, "unsupported_option", "dimensions"),
        ({"normalize": "perhaps"}, "bad_request", "normalize"),
        ({"output": "patches", "pooling": "max"}, "unsupported_option", "pooling"),
        ({"model": "other"}, "model_not_found", "model"),
    ],
)
def test_options_that_mean_nothing_here(client, alive, png, options, code, param):
    text = base64.b64encode(png).decode()
    status = 404 if code == "model_not_found" else 400
    assert_error(client.post("/v1/embeddings", json={"input": text, **options}), status, code, param)
    assert_error(client.post(EMBED, files={"file": png}, params=options), status, code, param)


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"3", b"{}", b'{"input": 3}', b'{"input": []}', b'{"input": [{"url": "x"}]}', b'{"input": ""}',
     b'{"input": "data:image/png;base64,"}', b'{"input": "data:image/png,raw"}', b'{"input": "https://example.com/a.png"}',
     b'{"input": "not base64 at all"}', b'\xff\xfe', b'{"input": null}'],
)  # fmt: skip
def test_json_bodies_that_hold_no_picture(client, alive, body):
    response = client.post("/v1/embeddings", content=body, headers={"content-type": "application/json"})
    assert response.status_code in (400, 415)
    assert_error(response, response.status_code, response.json()["error"]["code"])


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data", b"x"),
        ("multipart/form-data; boundary=b", b"x"),
        ("multipart/form-data; boundary=b", b"--b--\r\n"),
        (
            "multipart/form-data; boundary=b",
            b'--b\r\nContent-Disposition: form-data; name="photo"; filename="a"\r\n\r\nx\r\n--b--\r\n',
        ),
        (
            "multipart/form-data; boundary=b",
            b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nx',
        ),
    ],
)
def test_forms_that_hold_no_picture(client, alive, content_type, body):
    assert_error(client.post(EMBED, content=body, headers={"content-type": content_type}), 400, "bad_request")


def test_limits_name_the_limit_and_the_value(make_client, png):
    with make_client(
        max_image_bytes=1000, max_body_bytes=5000, max_images=2, max_images_patches=1, max_pixels=500
    ) as client:
        small = as_png(np.zeros((16, 16, 3), np.uint8))
        cases = [
            (client.post(EMBED, content=b"x" * 6000), "body_too_large", ("5,000", "6,000")),
            (client.post(EMBED, content=b"x" * 2000), "body_too_large", ("1,000", "2,000")),
            (client.post(EMBED, files=[("file", small)] * 3), "too_many_images", ("2", "3")),
            (client.post("/v1/embeddings", json={"input": ["aa"] * 400}), "too_many_images", ("2", "400")),
            (client.post(EMBED, files=[("file", b"x")] * 25), "too_many_images", ("2", "25")),
            (
                client.post(EMBED, files=[("file", small)] * 2, params={"output": "patches"}),
                "too_many_images",
                ("1", "2"),
            ),
            (
                client.post(EMBED, content=as_png(np.zeros((30, 20, 3), np.uint8))),
                "image_too_large",
                ("500", "20 x 30 = 600"),
            ),
        ]
        for response, code, values in cases:
            assert_error(response, 413, code)
            for value in values:
                assert value in response.json()["error"]["message"]
        assert client.post(EMBED, content=small).status_code == 200


def test_a_body_without_a_length_is_cut_off(make_client):
    with make_client(max_body_bytes=5000) as client:
        assert_error(client.post(EMBED, content=(b"x" * 1000 for _ in range(20))), 413, "body_too_large")


def test_unknown_paths_methods_and_media(client, alive, png):
    assert_error(client.get("/nowhere"), 404, "not_found")
    assert_error(client.get("/v1/models/other"), 404, "model_not_found")
    assert_error(client.get(EMBED), 405, "method_not_allowed")
    assert client.get(EMBED).headers["allow"] == "POST"
    assert_error(client.post(EMBED, files={"file": png}, headers={"accept": "text/html"}), 406, "not_acceptable")


def test_two_pictures_are_no_prediction(client, alive, png):
    data = {"request": json.dumps({"targets": [{"patches": [0]}]})}
    assert_error(client.post(PREDICT, files=[("file", png)] * 2, data=data), 413, "too_many_images")
    assert_error(client.post(PREDICT, files={"file": png}), 400, "bad_request", "targets")


def test_thousands_of_targets_are_refused_before_they_are_looked_at(client, alive, png):
    request = {"targets": [1] * 100_000}
    response = client.post(PREDICT, files={"file": png}, data={"request": json.dumps(request)})
    assert_error(response, 400, "bad_request", "targets")
    assert "this has 100,000" in response.json()["error"]["message"]


@pytest.mark.parametrize("charset", ["punycode", "undefined", "utf-16", "no-such-thing"])
def test_a_charset_of_the_clients_choice_changes_nothing(client, alive, png, charset):
    body = b'--b\r\nContent-Disposition: form-data; name="request"\r\n\r\n{"pooling": "last4"}\r\n'
    body += (
        b'--b\r\nContent-Disposition: form-data; name="file"\r\nContent-Type: image/png\r\n\r\n'
        + png
        + b"\r\n--b--\r\n"
    )
    response = client.post(
        EMBED, content=body, headers={"content-type": f"multipart/form-data; boundary=b; charset={charset}"}
    )
    assert response.status_code == 200, response.text
    assert len(response.json()["data"][0]["embedding"]) == 128


def test_metadata_that_cannot_be_read_does_not_spoil_a_picture(client):
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


def test_a_fault_of_ours_has_its_id_its_code_and_its_metric(make_client, png, monkeypatch, caplog):
    import service.api.embeddings as module

    def broken(*_):
        raise RuntimeError("a bug")

    monkeypatch.setattr(module, "check_options", broken)
    with make_client() as client:
        response = client.post(EMBED, files={"file": png}, headers={"x-request-id": "mine"})
        assert_error(response, 500, "internal")
        assert response.headers["x-request-id"] == "mine"
        assert 'status="500"} 1.0' in client.get("/metrics").text
    assert "request mine failed" in caplog.text
    assert "RuntimeError: a bug" in caplog.text


def test_memory_does_not_grow_with_bad_pictures(client):
    import gc
    import resource

    bad = [data for data, _, _ in PICTURES.values() if data]

    def feed(rounds):
        for _ in range(rounds):
            for data in bad:
                client.post(EMBED, content=data)
        gc.collect()
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    before = feed(10)
    assert feed(40) - before < 20_000, "kilobytes"
