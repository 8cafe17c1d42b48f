"""Rows of different lengths in batches."""

import numpy as np
import pytest

from models.inference.batching import MAX_PADDING, group_rows, pad_ids, round_up


@pytest.mark.parametrize("beside", [0, 100])
def test_every_row_is_in_one_group_with_little_padding(beside):
    lengths = np.random.default_rng(0).integers(1, 197, 200).tolist()
    groups = list(group_rows(lengths, 8, beside))
    assert sorted(row for group in groups for row in group) == list(range(200))
    assert max(map(len, groups)) == 8
    for group in groups:
        longest = max(lengths[row] for row in group) + beside
        assert sum(longest - lengths[row] - beside for row in group) <= MAX_PADDING * longest * len(group)


def test_rows_of_one_length_fill_their_groups():
    assert [len(group) for group in group_rows([30] * 20, 8)] == [8, 8, 4]
    assert list(group_rows([], 8)) == []


def test_tokens_beside_the_rows_make_the_same_padding_count_less():
    assert len(list(group_rows([10, 20], 8))) == 2
    assert len(list(group_rows([10, 20], 8, beside=100))) == 1


def test_lengths_are_rounded_up_to_few_values_by_little():
    rounded = [round_up(length) for length in range(1, 257)]
    assert all(length <= up <= length * 17 / 16 + 1 for length, up in enumerate(rounded, 1))
    assert rounded[:32] == list(range(1, 33))
    assert len({up for up in rounded if up > 128}) == 16


def test_ids_are_filled_up_with_minus_one():
    table = pad_ids([np.arange(3), np.arange(33)])
    assert table.shape == (2, 34)
    assert table[0].tolist() == [0, 1, 2, *[-1] * 31]
    assert table[1].tolist() == [*range(33), -1]
