"""Against a server of a few lines that answers as a test says."""

import asyncio
import threading
from contextlib import contextmanager

from service.bench.closed_loop import post_requests, run_closed_loop

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
FULL = b"HTTP/1.1 429 Too Many Requests\r\ncontent-length: 4\r\n\r\nfull"


class Answering:
    """Takes requests with 3 bytes of body over any number of connections, and counts both."""

    def __init__(self, answers):
        self.answers, self.bodies, self.connections = iter(answers), [], 0
        self.stop = asyncio.Event()

    async def serve(self, reader, writer):
        self.connections += 1
        try:
            while True:
                await reader.readuntil(b"\r\n\r\n")
                self.bodies.append(await reader.readexactly(3))
                answer = next(self.answers, OK)
                if answer is None:
                    break
                writer.write(answer)
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()


@contextmanager
def answering(*answers):
    server, loop, ports = Answering(answers), asyncio.new_event_loop(), []
    started = threading.Event()

    async def main():
        listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
        ports.append(listener.sockets[0].getsockname()[1])
        started.set()
        async with listener:
            await server.stop.wait()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    thread = threading.Thread(target=lambda: loop.run_until_complete(main()))
    thread.start()
    started.wait()
    try:
        yield server, post_requests("127.0.0.1", ports[0], "/path", "image/png", [b"one", b"two"])
    finally:
        loop.call_soon_threadsafe(server.stop.set)
        thread.join()
        loop.close()


def test_every_connection_sends_at_least_one_request_and_is_kept():
    with answering() as (server, requests):
        loop = run_closed_loop(requests, clients=3, seconds=0)
        assert (len(loop.latencies), loop.failures) == (3, {})
        assert set(server.bodies) == {b"one", b"two"}

        before = server.connections
        loop = run_closed_loop(requests, clients=2, seconds=0.1)
        assert server.connections == before + 2
        assert len(loop.latencies) > 2
        assert loop.seconds >= 0.1
        assert loop.client_seconds > 0


def test_refusals_and_lost_connections_are_counted_apart_from_answers(monkeypatch):
    monkeypatch.setattr("service.bench.closed_loop.PAUSE_SECONDS", 0.001)
    with answering(OK, FULL, None, OK) as (server, requests):
        loop = run_closed_loop(requests, clients=1, seconds=0.3)
    assert loop.failures == {"429": 1, "connection lost": 1}
    assert len(loop.latencies) == len(server.bodies) - 2
    assert server.connections == 2


def test_a_response_without_a_length_is_a_lost_connection():
    with answering(b"HTTP/1.1 200 OK\r\n\r\n") as (_, requests):
        assert run_closed_loop(requests, clients=1, seconds=0).failures == {"connection lost": 1}


def test_a_server_that_is_gone_is_counted():
    with answering() as (_, requests):
        pass
    loop = run_closed_loop(requests, clients=2, seconds=0)
    assert (loop.latencies, loop.failures) == ([], {"connection refused": 2})


def test_a_server_that_does_not_answer_is_left_after_a_while():
    with answering(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}") as (_, requests):
        loop = run_closed_loop(requests, clients=1, seconds=0, answer_seconds=0.2)
    assert (loop.latencies, loop.failures) == ([], {"no answer in 0 s": 1})
