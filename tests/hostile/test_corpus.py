"""Every hand-made input is answered as it should be, and the server goes on."""

import asyncio
from collections import Counter

import pytest

from tests.hostile.client import ask
from tests.hostile.corpus.base import problems_of
from tests.hostile.corpus.table import CASES
from tests.hostile.images.table import IMAGES


def test_there_are_hundreds_and_each_has_a_name_of_its_own():
    assert len(CASES) >= 400
    assert len(IMAGES) >= 200
    assert [name for name, count in Counter(case.name for case in CASES).items() if count > 1] == []


@pytest.mark.parametrize(
    "case", [pytest.param(case, id=case.name, marks=[pytest.mark.slow] * case.slow) for case in CASES]
)
def test_an_input_is_answered(server, case):
    start = server.log_size()
    reply = asyncio.run(ask(server.port, case.request(), half_close=case.half_close))
    assert not problems_of(reply, case.statuses, outside=case.outside)
    assert not server.problems(start)
