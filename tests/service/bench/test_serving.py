from collections import Counter

import pytest

from service.bench.closed_loop import Loop
from service.bench.serving import as_load, connections


def test_the_figures_of_a_closed_loop():
    loop = Loop([0.1] * 19 + [0.3], Counter({"429": 2}), 2.0, 0.5)
    load = as_load(loop, 4, 3.0, 20.0)
    assert (load.answered, load.failures, load.requests_per_second) == (20, {"429": 2}, 10)
    assert (load.p50_ms, load.p95_ms) == (pytest.approx(100), pytest.approx(110))
    assert (load.server_core_ms, load.client_core_ms) == (150, 25)
    assert load.engine_share == 0.5


def test_without_any_answer_there_are_failures_and_a_rate_of_zero():
    load = as_load(Loop([], Counter({"500": 3}), 1.0, 0.1), 1, None, None)
    assert (load.requests_per_second, load.failures) == (0, {"500": 3})
    assert (load.p50_ms, load.p95_ms, load.server_core_ms, load.client_core_ms, load.engine_share) == (None,) * 5


def test_a_slow_engine_gets_fewer_clients_and_a_note():
    notes = []
    assert connections(32, 100.0, notes) == 32
    assert connections(32, None, notes) == 32
    assert not notes
    assert connections(32, 0.5, notes) == 10
    assert connections(32, 0.01, notes) == 1
    assert notes[0] == "10 clients instead of 32: 32 images take the engine 64 s"
