"""How many connections there may be, and what happens to one more."""

import socket
import time

import pytest

from tests.servers import GET, LARGE, is_closed, read_response, running_server


def test_the_connection_that_has_waited_longest_makes_room(golden, tmp_path):
    with running_server(golden, tmp_path, max_connections=3) as server:
        silent = [server.connect() for _ in range(3)]
        time.sleep(0.2)
        with server.connect() as connection:
            connection.sendall(GET)
            assert read_response(connection).status == 200
            assert is_closed(silent[0])
            assert not is_closed(silent[2], 0.2)
        for each in silent:
            each.close()


def test_where_every_connection_is_in_use_the_next_is_told_so(golden, tmp_path):
    with running_server(golden, tmp_path, max_connections=2) as server:
        used = []
        for _ in range(2):
            connection = socket.socket()
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.connect((server.host, server.port))
            connection.sendall(LARGE * 12)  # and does not read it
            used.append(connection)
        time.sleep(1)
        with server.connect() as connection:
            answer = read_response(connection)
            assert (answer.status, answer.code) == (503, "not_ready")
            assert (answer.headers["connection"], answer.headers["retry-after"]) == ("close", "1")
            assert is_closed(connection)
        for each in used:
            each.close()
        time.sleep(0.5)
        assert server.get("/health/live")


def test_at_the_limit_of_open_files_the_server_goes_on(golden, tmp_path):
    with running_server(golden, tmp_path, descriptors=300) as server:
        silent = []
        for _ in range(700):
            silent.append(server.connect())
            if len(silent) % 100 == 0:
                assert server.get("/health/live")
        for each in silent:
            each.close()
        assert server.log.stat().st_size < 100_000


def test_more_connections_than_files_may_be_open_are_refused_at_the_start(monkeypatch):
    import resource

    from models.errors import ConfigError
    from service.connection_limits import max_connections

    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, 1000))
    monkeypatch.setattr(resource, "setrlimit", lambda *_: None)
    assert max_connections(0) == 1000 - 128
    assert max_connections(500) == 500
    with pytest.raises(ConfigError, match=r"max_connections is 5,000; this process may open 1,000 files"):
        max_connections(5000)
