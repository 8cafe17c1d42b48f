"""A real server over real connections: clients that leave, connections that are kept, HEAD, draining."""

import http.client
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest


@pytest.fixture
def address(golden, tmp_path):
    """A server that computes one image at a time."""
    command = [
        sys.executable,
        "-m",
        "ijepa",
        "serve",
        "--bundle",
        str(golden),
        "--port",
        "0",
        "--runtime",
        "onnxruntime",
    ]
    environment = {**os.environ, "IJEPA_THREADS": "1", "IJEPA_MAX_BATCH": "1"}
    log = tmp_path / "log"
    with log.open("w") as file:
        process = subprocess.Popen(command, stderr=file, env=environment)
    while "http://" not in log.read_text():
        assert process.poll() is None, log.read_text()
        time.sleep(0.02)
    yield log.read_text().split("http://")[1].split()[0]
    process.kill()
    process.wait()
    assert "Traceback" not in log.read_text()


LEFT = r'ijepa_requests_total\{route="/v1/images/embeddings",status="499"\}'


def wait_until_healthy(address):
    for _ in range(1000):
        try:
            urllib.request.urlopen(f"http://{address}/health", timeout=5)
            return
        except OSError:
            time.sleep(0.02)
    raise AssertionError("not healthy in twenty seconds")


def count(address, pattern):
    text = urllib.request.urlopen(f"http://{address}/metrics", timeout=10).read().decode()
    return float(re.search(pattern + r" ([0-9.]+)", text).group(1))


def test_what_a_client_that_left_had_asked_for_is_not_computed(address, png):
    wait_until_healthy(address)
    boundary = "b"
    part = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n'.encode() + png + b"\r\n"
    body = part * 32 + f"--{boundary}--\r\n".encode()
    clients = [http.client.HTTPConnection(address) for _ in range(20)]
    for client in clients:
        client.request(
            "POST", "/v1/images/embeddings", body, {"content-type": f"multipart/form-data; boundary={boundary}"}
        )
    for client in clients:
        client.close()
    deadline = time.monotonic() + 30
    while count(address, "ijepa_queue_items") > 0 or count(address, LEFT) < 1:
        assert time.monotonic() < deadline
        time.sleep(0.05)

    assert count(address, r'ijepa_batch_size_count\{operation="embed"\}') < 20 * 32
    assert urllib.request.urlopen(f"http://{address}/health").status == 200


def test_head_is_answered_like_get_without_a_body(address, request):
    wait_until_healthy(address)
    connection = http.client.HTTPConnection(address, timeout=10)
    request.addfinalizer(connection.close)
    for path, status in (("/health", 200), ("/", 200), ("/v1/models", 200), ("/nowhere", 404), ("/v1/embeddings", 405)):
        connection.request("HEAD", path)
        response = connection.getresponse()
        assert (response.status, response.read()) == (status, b"")
        assert int(response.headers["content-length"]) > 0
    assert count(address, r'ijepa_requests_total\{route="/health",status="200"\}') >= 2


def test_told_to_stop_it_says_so_before_it_stops_listening(golden, tmp_path):
    command = [
        sys.executable,
        "-m",
        "ijepa",
        "serve",
        "--bundle",
        str(golden),
        "--port",
        "0",
        "--runtime",
        "onnxruntime",
    ]
    log = tmp_path / "log"
    with log.open("w") as file:
        process = subprocess.Popen(command, stderr=file, env={**os.environ, "IJEPA_THREADS": "1"})
    while "http://" not in log.read_text():
        time.sleep(0.02)
    address = log.read_text().split("http://")[1].split()[0]
    wait_until_healthy(address)
    process.send_signal(signal.SIGTERM)
    time.sleep(0.2)
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(f"http://{address}/health/ready", timeout=5)
    assert caught.value.code == 503
    assert b'"draining"' in caught.value.read()
    assert process.wait(20) == 0


def test_a_kept_connection_has_nagles_algorithm_off(golden):
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


def test_told_to_stop_at_once_it_stops(golden, tmp_path):
    """In the moment after it says that it listens, before the event loop runs."""
    command = [
        sys.executable,
        "-m",
        "ijepa",
        "serve",
        "--bundle",
        str(golden),
        "--port",
        "0",
        "--runtime",
        "onnxruntime",
    ]
    for number in (signal.SIGTERM, signal.SIGINT):
        with subprocess.Popen(
            command, stderr=subprocess.PIPE, text=True, env={**os.environ, "IJEPA_THREADS": "1"}
        ) as process:
            while "listening on" not in process.stderr.readline():
                assert process.poll() is None
            process.send_signal(number)
            assert process.wait(20) == 0


def test_what_was_accepted_before_the_server_was_told_to_stop_is_finished(golden, png, tmp_path):
    command = [
        sys.executable,
        "-m",
        "ijepa",
        "serve",
        "--bundle",
        str(golden),
        "--port",
        "0",
        "--runtime",
        "onnxruntime",
    ]
    log = tmp_path / "log"
    with (
        log.open("w") as file,
        subprocess.Popen(command, stderr=file, env={**os.environ, "IJEPA_THREADS": "1"}) as process,
    ):
        while "http://" not in log.read_text():
            time.sleep(0.02)
        address = log.read_text().split("http://")[1].split()[0]
        wait_until_healthy(address)
        connection = http.client.HTTPConnection(address, timeout=20)
        connection.putrequest("POST", "/v1/images/embeddings")
        connection.putheader("content-length", str(len(png)))
        connection.endheaders(png[:50])
        time.sleep(0.2)
        process.send_signal(signal.SIGTERM)
        time.sleep(0.2)
        connection.send(png[50:])
        assert connection.getresponse().status == 200
        connection.close()
        assert process.wait(20) == 0
