import pytest

from training.config import OptimConfig
from training.schedules import rates_at


def test_the_three_schedules_begin_turn_and_end_where_they_should():
    config = OptimConfig(start_lr=1e-4, lr=1e-3, final_lr=1e-6, weight_decay=0.04, final_weight_decay=0.4, ema=0.99)
    at = [rates_at(step, 1000, 100, config) for step in (0, 50, 100, 550, 1000)]

    assert [r.lr for r in at] == pytest.approx([1e-4, 5.5e-4, 1e-3, (1e-3 + 1e-6) / 2, 1e-6])
    assert [r.weight_decay for r in at][::4] == pytest.approx([0.04, 0.4])
    assert [r.ema for r in at] == pytest.approx([0.99, 0.9905, 0.991, 0.9955, 1.0])


def test_no_warmup_starts_at_the_peak():
    assert rates_at(0, 10, 0, OptimConfig(lr=1e-3)).lr == pytest.approx(1e-3)
