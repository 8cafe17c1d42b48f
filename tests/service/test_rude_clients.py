"""Clients that send too slowly, too much or nothing, that do not read, or that hide requests in others."""

import contextlib
import json
import socket
import time

import numpy as np
import pytest

from tests.servers import GET, LARGE, is_closed, read_response, running_server
from tests.service.conftest import as_png

EMBED = "/v1/images/embeddings"
DONE = r'ijepa_request_seconds_count\{route="/v1/images/embeddings"\}'


def head(method="POST", path=EMBED, **headers):
    lines = [f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items()]
    return f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n{''.join(lines)}\r\n".encode()


@pytest.fixture(scope="module")
def server(golden, tmp_path_factory):
    """With so little patience that tests are quick."""
    folder = tmp_path_factory.mktemp("server")
    limits = {"header_seconds": 0.7, "idle_seconds": 1.0, "write_seconds": 1.0, "body_seconds": 1.5}
    with running_server(golden, folder, **limits) as server:
        yield server


@pytest.fixture
def connection(server):
    with server.connect() as connection:
        yield connection


def test_a_silent_connection_is_closed(connection):
    assert is_closed(connection)


def test_half_a_head_is_answered_with_408(connection):
    connection.sendall(GET[:-4])
    answer = read_response(connection)
    assert (answer.status, answer.code, answer.headers["connection"]) == (408, "request_timeout", "close")
    assert answer.headers["x-request-id"]
    assert is_closed(connection)


def test_a_head_that_comes_byte_by_byte_has_no_more_time(connection):
    connection.sendall(GET)
    assert read_response(connection).status == 200
    start = time.monotonic()
    for byte in GET[:-4]:
        try:
            connection.sendall(bytes([byte]))
        except ConnectionError:
            break
        time.sleep(0.1)
        connection.setblocking(False)
        try:
            if connection.recv(1, socket.MSG_PEEK):
                break
        except BlockingIOError:
            pass
        connection.settimeout(10)
    connection.settimeout(10)
    assert read_response(connection).status == 408
    assert time.monotonic() - start < 3


def test_a_kept_connection_is_kept_until_it_was_idle_for_too_long(connection):
    for _ in range(3):
        connection.sendall(GET)
        assert read_response(connection).status == 200
        time.sleep(0.4)
    start = time.monotonic()
    assert is_closed(connection)
    assert time.monotonic() - start < 5


def test_a_client_that_does_not_read_is_left(server):
    expected = 12 * len(server.get("/docs/assets/swagger-ui-bundle.js"))
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect((server.host, server.port))
        connection.sendall(LARGE * 12)
        time.sleep(3)
        connection.settimeout(10)
        received = 0
        try:
            while data := connection.recv(1 << 20):
                received += len(data)
        except ConnectionError:
            pass
        assert received < expected


def test_a_slow_client_that_reads_gets_everything(server):
    """Longer than `write_seconds` in all, and never so long without reading."""
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        connection.settimeout(10)
        connection.connect((server.host, server.port))
        connection.sendall(LARGE * 4)
        received, expected = 0, 4 * len(server.get("/docs/assets/swagger-ui-bundle.js"))
        start = time.monotonic()
        while received < expected:
            data = connection.recv(65536)
            assert data, received
            received += len(data)
            if time.monotonic() - start < 2:
                time.sleep(0.03)


@pytest.mark.parametrize(
    "headers",
    [
        {"Transfer_Encoding": "chunked", "Content_Length": 5},
        {"Content_Length": 5, "Transfer_Encoding": "chunked"},
        {"Transfer_Encoding": "gzip, chunked"},
        {"Transfer_Encoding": "chunked, identity"},
        {"Content_Length": "5, 5"},
        {"Content_Length": "-5"},
    ],
)
def test_a_request_whose_end_could_be_read_in_two_ways_is_rejected(connection, headers):
    connection.sendall(head(**headers) + b"0\r\n\r\n" + GET)
    answer = read_response(connection)
    assert (answer.status, answer.code, answer.headers["connection"]) == (400, "bad_request", "close")
    assert is_closed(connection)


@pytest.mark.parametrize(
    "sent",
    [
        head("GET", "/health/live", **{f"x{i}": "y" for i in range(200)}),
        head("GET", "/health/live", x="y" * 40_000),
        head("GET", "/" + "y" * 40_000),
        b"GET /health/live HTTP/1.1\r\nx: " + b"y" * 2_000_000,
        b"GET /" + b"y" * 2_000_000,
    ],
    ids=["many headers", "a long header", "a long path", "an endless header", "an endless path"],
)
def test_a_head_that_is_too_large_is_answered_with_431(connection, sent):
    with contextlib.suppress(ConnectionError):
        connection.sendall(sent)
    answer = read_response(connection)
    assert (answer.status, answer.code, answer.headers["connection"]) == (431, "bad_request", "close")


@pytest.mark.parametrize(
    "after",
    [
        b"0\r\n" + b"x: y\r\n" * 20_000,
        b"0\r\nx: " + b"y" * 200_000,
        b"1;" + b"x" * 400_000,
        b"1;xxxxxxxxxxxx\r\na\r\n" * 20_000,
    ],
    ids=["many trailers", "an endless trailer", "an endless chunk extension", "chunks of a byte"],
)
def test_a_body_that_is_mostly_something_else_is_rejected(connection, after):
    connection.sendall(head(Transfer_Encoding="chunked"))
    time.sleep(0.1)
    with contextlib.suppress(ConnectionError):
        connection.sendall(after)
    answer = read_response(connection)
    assert answer.status in (400, 431)
    assert answer.headers["connection"] == "close"


def test_what_is_not_http_is_answered_with_400_in_the_one_shape(connection):
    connection.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n")
    answer = read_response(connection)
    assert (answer.status, answer.headers["x-content-type-options"]) == (400, "nosniff")
    assert set(json.loads(answer.body)["error"]) == {"message", "type", "param", "code"}


def test_a_few_requests_without_a_body_may_be_sent_at_a_time(connection):
    connection.sendall(GET * 10)
    for _ in range(10):
        answer = read_response(connection)
        assert answer.status == 200
        assert "connection" not in answer.headers
    connection.sendall(GET)
    assert read_response(connection).status == 200


def test_of_many_requests_that_are_sent_at_a_time_the_first_are_answered(connection):
    connection.sendall(GET * 1000)
    answers = 0
    while True:
        answer = read_response(connection)
        assert answer.status == 200
        answers += 1
        if answer.headers.get("connection") == "close":
            break
    assert answers < 100
    assert is_closed(connection)


def test_a_body_behind_a_request_that_is_not_answered_yet_is_not_kept(connection, png):
    post = head(Content_Length=len(png)) + png
    connection.sendall(post * 3)
    answer = read_response(connection)
    assert (answer.status, answer.headers["connection"]) == (200, "close")
    assert is_closed(connection)


def test_clients_that_leave_while_they_are_answered_and_more_waits_leave_nothing_in_the_log(server):
    """The server looks for those that left from 20 ms on. That its log has no failure is looked at when it ends."""
    pixels = np.random.default_rng(0).integers(0, 256, (1500, 1500, 3), dtype=np.uint8)
    image = as_png(pixels)
    before = server.metric(DONE)
    for _ in range(5):
        with server.connect() as connection:
            connection.sendall(head(Content_Length=len(image)) + image + GET * 3)
            time.sleep(0.05)
    until = time.monotonic() + 20
    while server.metric(DONE) < before + 5:
        assert time.monotonic() < until
        time.sleep(0.05)


def test_a_body_that_is_too_large_is_answered_before_it_came_and_the_connection_closed(connection):
    connection.sendall(head(Content_Length=70_000_000))
    connection.sendall(b"x" * 5_000_000)
    answer = read_response(connection)
    assert (answer.status, answer.code, answer.headers["connection"]) == (413, "body_too_large", "close")
    assert is_closed(connection)


def test_a_body_that_does_not_come_is_answered_with_408_and_the_connection_closed(connection):
    connection.sendall(head(Content_Length=1000) + b"x")
    answer = read_response(connection)
    assert (answer.status, answer.code, answer.headers["connection"]) == (408, "request_timeout", "close")
    assert is_closed(connection)


def test_what_was_answered_without_its_body_keeps_its_connection_if_the_body_comes(connection):
    """A client that was told to come back is known by its connection."""
    connection.sendall(head(path="/nowhere", Content_Length=100_000))
    assert read_response(connection).status == 404
    connection.sendall(b"x" * 100_000 + GET)
    assert read_response(connection).status == 200


def test_what_was_answered_without_its_body_is_closed_if_the_body_does_not_come(connection):
    connection.sendall(head(path="/nowhere", Content_Length=100_000))
    assert read_response(connection).status == 404
    assert is_closed(connection)


@pytest.mark.parametrize("headers", [{"Transfer_Encoding": "chunked"}, {"Content_Length": 5, "Expect": "100-continue"}])
def test_what_was_answered_without_a_body_of_which_nobody_knows_whether_it_comes_is_closed(connection, headers):
    connection.sendall(head(path="/nowhere", **headers))
    answer = read_response(connection)
    assert (answer.status, answer.headers["connection"]) == (404, "close")
    assert is_closed(connection)


def test_who_waits_for_100_continue_gets_it(connection, png):
    connection.sendall(head(Content_Length=len(png), Expect="100-continue"))
    received = b""
    while not received.endswith(b"\r\n\r\n"):
        received += connection.recv(1)
    assert received == b"HTTP/1.1 100 Continue\r\n\r\n"
    connection.sendall(png)
    assert read_response(connection).status == 200


def test_an_upgrade_is_ignored(connection):
    connection.sendall(head("GET", "/health/live", Connection="Upgrade, HTTP2-Settings", Upgrade="h2c"))
    answer = read_response(connection)
    assert (answer.status, answer.headers["connection"]) == (200, "close")
