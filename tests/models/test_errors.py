"""Values in messages."""

import numpy as np

from models.errors import short_repr


def test_a_value_in_a_message_is_one_line():
    assert short_repr(np.zeros((2, 2, 1))) == "array([[[0.], [0.]], [[0.], [0.]]])"


def test_a_long_value_is_cut():
    assert short_repr("x" * 100) == f"'{'x' * 56}..."


def test_a_deep_value_is_named():
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    assert short_repr(deep) == "a deeply nested list"
