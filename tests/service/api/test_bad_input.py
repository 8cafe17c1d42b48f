"""Every kind of bad request gets its code, and the next request is answered."""

import base64
import json

import numpy as np
import pytest

from tests.service.api.bad_input import EMBED, PREDICT, assert_error, huge_png
from tests.service.conftest import as_png


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
def test_options_that_are_unknown_here(client, alive, png, options, code, param):
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
def test_json_bodies_that_hold_no_image(client, alive, body):
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
def test_forms_that_hold_no_image(client, alive, content_type, body):
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


def test_two_images_are_not_a_prediction(client, alive, png):
    data = {"request": json.dumps({"targets": [{"patches": [0]}]})}
    assert_error(client.post(PREDICT, files=[("file", png)] * 2, data=data), 413, "too_many_images")
    assert_error(client.post(PREDICT, files={"file": png}), 400, "bad_request", "targets")


def test_thousands_of_targets_are_an_error_before_they_are_looked_at(client, alive, png):
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


def test_a_fault_of_ours_has_its_id_its_code_and_its_metric(make_client, png, monkeypatch, caplog):
    import service.api.v1.embeddings as module

    def broken(*_):
        raise RuntimeError("a bug")

    monkeypatch.setattr(module, "check_options", broken)
    caplog.set_level("INFO", logger="service")
    with make_client() as client:
        response = client.post(EMBED, files={"file": png}, headers={"x-request-id": "mine"})
        assert_error(response, 500, "internal")
        assert response.headers["x-request-id"] == "mine"
        assert 'status="500"} 1.0' in client.get("/metrics").text
    assert "request mine failed" in caplog.text
    assert f"mine POST {EMBED} 500 internal" in caplog.text
    assert "RuntimeError: a bug" in caplog.text


@pytest.mark.parametrize("depth", [50, 500, 2000])
def test_a_deeply_nested_value_is_a_bad_request(client, alive, png, depth):
    """Its repr alone is a RecursionError."""
    nested = "[" * depth + "]" * depth
    text = base64.b64encode(png).decode()
    for body in (f'{{"input": "{text}", "normalize": {nested}}}', f'{{"input": {nested}}}'):
        response = client.post("/v1/embeddings", content=body, headers={"content-type": "application/json"})
        assert_error(response, 400, response.json()["error"]["code"])
        assert len(response.json()["error"]["message"]) < 1000
