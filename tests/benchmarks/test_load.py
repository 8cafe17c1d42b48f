"""The clients of the serving benchmark count what a server answers."""

import asyncio
import contextlib
from pathlib import Path

import numpy as np
import pytest

from benchmarks.load import closed
from benchmarks.load.closed import NoAnswerError, closed_loop, parse_wrk
from benchmarks.load.poisson import arrival_times, complete_status, read_requests, send, summarize
from benchmarks.photographs import write_bodies

RESULT = 'RESULT {"answered": 100, "seconds": 4.0, "refused": 20, "failed": 3, "p50_ms": 8.5, "p99_ms": 20.0}'


def test_refused_requests_are_errors_and_not_part_of_the_rate():
    loop = parse_wrk(f"Running 4s test\n\n{RESULT}\n", 32, cpu_s=0.5)
    assert (loop.connections, loop.rate, loop.errors, loop.client_ms) == (32, 20.0, 23, 5.0)


def test_a_loop_without_an_answer_is_an_error_and_not_a_rate_of_0():
    with pytest.raises(NoAnswerError, match="none of the requests over 8 connections was answered"):
        parse_wrk(RESULT.replace('"answered": 100', '"answered": 20'), 8, cpu_s=0.5)


@pytest.mark.parametrize("answered", [20, 24])
def test_a_loop_with_fewer_answers_than_connections_is_measured_again_for_longer(monkeypatch, answered):
    ran = []

    def run_wrk(url, bodies, connections, seconds):
        ran.append(seconds)
        return parse_wrk(RESULT.replace('"answered": 100', f'"answered": {answered * len(ran) ** 2}'), connections, 0.5)

    monkeypatch.setattr(closed, "run_wrk", run_wrk)
    assert closed_loop("http://x", (Path("list"), "image/jpeg"), 32, 8).answered == answered * 4 - 20
    assert ran == [8, 32]


def test_what_wrk_says_instead_of_a_result_is_the_error():
    with pytest.raises(RuntimeError, match="unable to connect"):
        parse_wrk("unable to connect to 127.0.0.1:1", 8, cpu_s=0.5)


@pytest.mark.parametrize(
    ("received", "status"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab", None),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", 200),
        (b"HTTP/1.1 503 X\r\ncontent-length: 0\r\n\r\n", 503),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n", None),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n", 200),
        (b"HTTP/1.1 200 OK\r\nContent-", None),
    ],
)
def test_a_response_is_complete_at_its_length_or_last_chunk(received, status):
    assert complete_status(bytearray(received)) == status


def test_arrivals_have_the_rate_and_exponential_gaps_and_follow_from_the_seed():
    times = arrival_times(100, 50, seed=1)
    gaps = np.diff(times)
    assert len(times) == pytest.approx(5000, rel=0.05)
    assert gaps.std() == pytest.approx(gaps.mean(), rel=0.05)
    assert (times == arrival_times(100, 50, seed=1)).all()


def test_the_open_loop_sends_every_request_and_counts_those_that_are_not_answered_with_2xx(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"image")
    bodies = write_bodies([tmp_path / "a.jpg"], tmp_path / "bodies", field=None)
    received = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError), contextlib.closing(writer):
            while head := await reader.readuntil(b"\r\n\r\n"):
                received.append((head.split(b"\r\n")[0], await reader.readexactly(5)))
                status = b"503 Busy" if len(received) == 2 else b"200 OK"
                writer.write(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n")

    async def measure() -> list[float | None]:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/embed"
        latencies = await send(url, read_requests(url, *bodies), np.array([0.0, 0.05, 0.1]))
        server.close()
        await asyncio.sleep(0.05)  # the server sees that the connections are closed
        return latencies

    latencies = asyncio.run(measure())
    assert received == [(b"POST /embed HTTP/1.1", b"image")] * 3
    assert [latency is None for latency in latencies] == [False, True, False]
    assert summarize(10, latencies, cpu_s=0.3).errors == 1


def test_percentiles_are_of_the_answered_requests():
    loop = summarize(5, [10.0, None, 30.0], cpu_s=0.3)
    assert (loop.p50_ms, loop.errors, loop.requests) == (20.0, 1, 3)
    assert loop.client_ms == pytest.approx(100)


def test_a_form_has_the_file_and_its_boundary(tmp_path: Path):
    (tmp_path / "a.jpg").write_bytes(b"\xff\xd8image")
    listed, content_type = write_bodies([tmp_path / "a.jpg"], tmp_path / "bodies", field="file")
    body = Path(listed.read_text().strip()).read_bytes()
    boundary = content_type.partition("boundary=")[2].encode()
    assert body.startswith(b"--" + boundary)
    assert b'name="file"' in body
    assert body.endswith(b"\xff\xd8image\r\n--" + boundary + b"--\r\n")
