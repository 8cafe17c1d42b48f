"""A real server over real connections: clients that leave, connections that are kept, HEAD, draining."""

import http.client
import json
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest

from tests.servers import GET, is_closed, read_response, running_server

EMBED = "/v1/images/embeddings"
LEFT = r'ijepa_requests_total\{route="/v1/images/embeddings",status="499"\}'


@pytest.fixture
def server(golden, tmp_path):
    """A server that computes one image at a time."""
    with running_server(golden, tmp_path, max_batch=1, queue_seconds=60) as server:
        yield server


def test_what_a_client_that_left_had_asked_for_is_not_computed(server, png):
    boundary = "b"
    part = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n'.encode() + png + b"\r\n"
    body = part * 32 + f"--{boundary}--\r\n".encode()
    clients = [http.client.HTTPConnection(server.address) for _ in range(20)]
    for client in clients:
        client.request("POST", EMBED, body, {"content-type": f"multipart/form-data; boundary={boundary}"})
    for client in clients:
        client.close()
    deadline = time.monotonic() + 30
    while server.metric("ijepa_queue_items") > 0 or server.metric(LEFT) < 1:
        assert time.monotonic() < deadline
        time.sleep(0.05)

    assert server.metric(r'ijepa_batch_size_count\{operation="embed"\}') < 20 * 32
    assert server.get("/health")


def test_head_is_answered_like_get_without_a_body(server, request):
    connection = http.client.HTTPConnection(server.address, timeout=10)
    request.addfinalizer(connection.close)
    for path, status in (("/health", 200), ("/", 200), ("/v1/models", 200), ("/nowhere", 404), ("/v1/embeddings", 405)):
        connection.request("HEAD", path)
        response = connection.getresponse()
        assert (response.status, response.read()) == (status, b"")
        assert int(response.headers["content-length"]) > 0
    assert server.metric(r'ijepa_requests_total\{route="/health",status="200"\}') >= 2


def test_a_kept_connection_has_nagles_algorithm_off():
    """With it on, every response but the first waits for the client's delayed acknowledgement."""
    import asyncio
    import socket

    from service.server import listen
    from service.settings import read_settings

    async def accepted_option():
        options = []

        async def look(_, writer):
            options.append(writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        listener = listen(read_settings(port=0))
        server = await asyncio.start_server(look, sock=listener)
        _, writer = await asyncio.open_connection(*listener.getsockname()[:2])
        while not options:
            await asyncio.sleep(0.01)
        writer.close()
        server.close()
        return options[0]

    assert asyncio.run(accepted_option())


def test_told_to_stop_it_says_so_before_it_stops_listening(golden, tmp_path):
    with running_server(golden, tmp_path) as server:
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.2)
        with pytest.raises(urllib.error.HTTPError) as caught:
            server.get("/health/ready")
        assert caught.value.code == 503
        assert caught.value.headers["retry-after"] == "1"
        assert b'"draining"' in caught.value.read()
        assert server.process.wait(20) == 0


def test_told_to_stop_it_closes_kept_connections_with_their_next_answer(golden, tmp_path):
    with running_server(golden, tmp_path) as server, server.connect() as kept:
        request = GET.replace(b"/live", b"")
        kept.sendall(request)
        assert "connection" not in read_response(kept).headers
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.2)
        kept.sendall(request)
        answer = read_response(kept)
        assert (answer.status, answer.code) == (503, "draining")
        assert answer.headers["connection"] == "close"
        assert is_closed(kept)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_stop_at_the_start_it_stops(golden, tmp_path, number):
    """In the moment after it says that it listens, before the event loop runs."""
    with running_server(golden, tmp_path, ready=False) as server:
        server.process.send_signal(number)
        assert server.process.wait(20) == 0


def post_half(server, png):
    """A connection on which half of an image was sent."""
    connection = server.connect(timeout=20)
    head = f"POST {EMBED} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(png)}\r\n\r\n"
    connection.sendall(head.encode() + png[: len(png) // 2])
    time.sleep(0.2)
    return connection


def test_what_was_accepted_before_the_server_was_told_to_stop_is_finished(golden, png, tmp_path):
    with running_server(golden, tmp_path) as server, post_half(server, png) as connection:
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.2)
        connection.sendall(png[len(png) // 2 :])
        assert read_response(connection).status == 200
        assert server.process.wait(20) == 0


def test_what_cannot_be_finished_in_time_is_answered_with_draining(golden, png, tmp_path):
    with running_server(golden, tmp_path, drain_seconds=2) as server, post_half(server, png) as connection:
        server.process.send_signal(signal.SIGTERM)
        told = time.monotonic()
        answer = read_response(connection)
        assert (answer.status, answer.code) == (503, "draining")
        assert answer.headers["x-request-id"]
        assert answer.headers["retry-after"] == "1"
        assert server.process.wait(20) == 0
        assert time.monotonic() - told < 5
        assert "1 requests were not finished in 2 s" in server.said()


def test_it_ends_in_time_whatever_it_computes(golden, tmp_path):
    endless = (
        "import time; from service.registry import LoadedModel; LoadedModel.check = lambda self: time.sleep(60); "
        "from ijepa.cli import main; main()"
    )
    with running_server(golden, tmp_path, ready=False, program=("-c", endless), drain_seconds=2) as server:
        while not is_alive(server):
            time.sleep(0.02)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(10) == 0
        assert "still computes something; it ends without that" in server.said()


def is_alive(server):
    try:
        return json.loads(server.get("/health/live")) == {"status": "live"}
    except OSError:
        return False


def test_a_server_whose_log_nobody_reads_goes_on_answering(golden, tmp_path):
    """Its standard error is a pipe, which holds 64 kB; the lines of these requests are more."""
    command = [sys.executable, "-m", "ijepa", "serve", "--bundle", str(golden), "--port", "0", "--runtime", "fake"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        while "listening on" not in (line := process.stderr.readline()):
            assert process.poll() is None
        connection = http.client.HTTPConnection(line.split("http://")[1].strip(), timeout=10)
        for _ in range(1000):
            connection.request("GET", "/" + "x" * 150)
            assert connection.getresponse().read()
        connection.close()
        process.kill()
        process.communicate()
