"""Clients that are slow, silent or gone: they are closed, and another client goes on."""

import asyncio

import pytest

from tests.hostile import rude
from tests.hostile.client import CLOSED, ask, post, request
from tests.hostile.corpus.base import small_png
from tests.hostile.ordinary import RUNTIME, warm_up
from tests.hostile.server import GOLDEN, memory_of, running_server
from tests.hostile.unharmed import harm
from tests.hostile.watch import watched

pytestmark = pytest.mark.filterwarnings("ignore:unclosed transport:ResourceWarning")

QUICK_SECONDS, QUICK_COUNT = 1, 10


@pytest.mark.parametrize("name", rude.KINDS)
def test_a_few_of_them_for_a_moment(server, name):
    start = server.log_size()
    kind = rude.KINDS[name]
    asyncio.run(rude.run(server.port, kind._replace(clients=QUICK_COUNT, seconds=QUICK_SECONDS)))
    assert not server.problems(start)
    assert asyncio.run(ask(server.port, post(small_png()))).status == 200


@pytest.mark.slow
@pytest.mark.parametrize("name", rude.KINDS)
def test_many_of_them_are_closed_and_another_client_goes_on(server, name):
    start = server.log_size()
    with watched(server) as watch:
        ends = asyncio.run(rude.run(server.port, rude.KINDS[name]))
    assert not harm(server, watch.seen, start)
    assert set(ends) <= rude.ALLOWED.get(name, set(ends)), ends
    assert server.log_size() - start < 10_000_000


@pytest.mark.slow
@pytest.mark.parametrize(
    "environment",
    [{"IJEPA_HEADER_SECONDS": "1", "IJEPA_IDLE_SECONDS": "2", "IJEPA_BODY_SECONDS": "3", "IJEPA_WRITE_SECONDS": "3"}],
)
def test_the_limits_on_time_are_settings(tmp_path, environment):
    ends = {}
    with running_server(GOLDEN, tmp_path, *RUNTIME, **environment) as server:
        for kind in (rude.silent, rude.idle, rude.slow_head, rude.slow_body, rude.slow_chunks, rude.not_reading):
            ends[kind.__name__] = set(asyncio.run(rude.run(server.port, rude.Rude(kind, 6, 12))))
        assert not server.problems()
    assert ends == {
        "silent": {"closed"},
        "idle": {"closed"},
        "slow_head": {"408"},
        "slow_body": {"408"},
        "slow_chunks": {"408"},
        "not_reading": {"closed"},
    }


@pytest.mark.slow
def test_1200_silent_connections_at_1024_descriptors(tmp_path):
    with running_server(GOLDEN, tmp_path, *RUNTIME, descriptors=1024) as server:
        warm_up(server)
        with watched(server) as watch:
            asyncio.run(rude.run(server.port, rude.Rude(rude.silent, 1200, 30)))
        assert not harm(server, watch.seen, 0)
        assert server.log_size() < 1_000_000


@pytest.mark.slow
def test_thousands_of_connections_that_ask_once(server):
    async def all_of_them():
        return await asyncio.gather(*(ask(server.port, request("GET", "/health")) for _ in range(3000)))

    start, before = server.log_size(), memory_of(server.pid)
    statuses = {reply.status for reply in asyncio.run(all_of_them())}
    assert statuses <= {200, 503, CLOSED}, statuses
    assert not server.problems(start)
    assert server.idle_bytes(10, 1.2 * before) <= 1.2 * before + 50_000_000
