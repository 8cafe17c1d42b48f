"""Small real images with seeded damage: each is an image or an error, and the server goes on."""

import asyncio
from collections import Counter

import pytest

from tests.hostile.mutants import FORMATS, mutants, originals
from tests.hostile.posting import post_all

QUICK, ALL = 40, 500


@pytest.mark.parametrize("count", [QUICK, pytest.param(ALL, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", FORMATS)
def test_a_mutant_is_an_image_or_an_error(server, name, count):
    start = server.log_size()
    replies = asyncio.run(post_all(server.port, list(mutants(name, count))))
    assert not [problem for _, problems in replies for problem in problems]
    assert not server.problems(start)
    statuses = Counter(status for status, _ in replies)
    assert statuses[429] <= count // 10, statuses
    assert statuses[422] >= count // 10, f"the damage is too small to be seen: {statuses}"


def test_mutants_are_the_same_every_time():
    for name in FORMATS:
        assert list(mutants(name, 10)) == list(mutants(name, 10))
        assert list(mutants(name, 12))[:10] == list(mutants(name, 10))
        assert sum(mutant in originals()[name] for mutant in mutants(name, 40)) < 4
