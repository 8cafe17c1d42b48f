import pytest

from models.config import EncoderConfig
from service.bench.record import HTTP, Engine, Load, WaySpeed
from service.bench.report import engine_text, http_text, number


@pytest.mark.parametrize(("value", "text"), [(None, "-"), (1234.4, "1,234"), (99.94, "99.9"), (0.01234, "0.0123")])
def test_numbers_have_three_digits(value, text):
    assert number(value) == text


def test_what_was_not_measured_is_a_dash_and_says_why():
    encoder = EncoderConfig(width=64, depth=1, heads=1, hidden=64, patch_size=4, grid=(2, 2))
    first = WaySpeed(
        runtime="openvino",
        precision="int8",
        batch_size=8,
        chosen=True,
        images_per_second=62.5,
        float32_outputs=("last4",),
    )
    second = WaySpeed(runtime="cuda", precision="float16", batch_size=32, chosen=False, problem="there is no GPU")
    lines = engine_text(Engine(ways=(first, second), kept_in="/cache"), "mine", encoder, ("auto", "auto")).splitlines()
    assert lines[2].split()[:5] == ["*", "openvino", "int8", "62.5", "8"]
    assert lines[3].split() == ["cuda", "float16", "-", "32", "-", "-", "-", "-", "-"]
    assert lines[4:] == [
        "  openvino int8: last4 in float32",
        "  cuda float16 is not used: there is no GPU",
        "* is what ijepa serve takes with --runtime auto --precision auto; kept in /cache",
    ]


def test_failures_are_shown_with_their_reason():
    load = Load(
        clients=32, seconds=1, answered=0, failures={"429": 7, "connection lost": 1}, requests_per_second=0, p50_ms=None,
        p95_ms=None, server_core_ms=None, client_seconds=0.1, client_core_ms=None, engine_share=None,
    )  # fmt: skip
    text = http_text(HTTP(runtime="fake", precision="float32", batch_size=8, image="a PNG", loads=(load,)))
    assert "7 429, 1 connection lost" in text
    assert "CPU time of the client, on the same cores: 0.10 s of 1.00 s" in text
