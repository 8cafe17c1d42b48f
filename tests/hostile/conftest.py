"""One real server with the golden bundle for the tests of a process, and what it must be like after all of them."""

import sys

import pytest

from tests.hostile.ordinary import RUNTIME, warm_up
from tests.hostile.server import GOLDEN, ZOO, running_server

MORE, ALLOCATOR = 1.2, 40_000_000
"""How much more memory there may be after all tests than before them: a fifth, and what the allocators of five processes keep.

The golden bundle's server has 135 MB in all, of which a fifth (27 MB) is within their variation: 12 to 37 MB were measured.
"""


@pytest.fixture(scope="session", autouse=True)
def _linux():
    """Memory and children of the server are read from /proc."""
    if sys.platform != "linux":
        pytest.skip("skipped: there is no /proc on this system")


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """After the last test nothing in its log is a fault of ours, no request had 500, and its memory is what it was."""
    with running_server(GOLDEN, tmp_path_factory.mktemp("hostile"), *RUNTIME) as running:
        warm_up(running)
        before, table = running.idle_bytes(2), running.memory_table()
        yield running
        most = MORE * before + ALLOCATOR
        after = running.idle_bytes(20, most)
        assert not running.problems()
        assert running.metric("ijepa_requests_total", status="500") == 0
        assert after <= most, (
            f"{before / 1e6:.0f} MB before: {table}\n{after / 1e6:.0f} MB after: {running.memory_table()}"
        )


@pytest.fixture(scope="module")
def zoo_server(tmp_path_factory):
    """The model that ships, started as a user does."""
    with running_server(ZOO, tmp_path_factory.mktemp("zoo")) as running:
        warm_up(running)
        yield running
