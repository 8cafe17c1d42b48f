import pytest

from models.runtimes.batches import BATCH_SIZES, ladder


def test_the_sizes_ascend_from_one():
    assert BATCH_SIZES[0] == 1
    assert sorted(set(BATCH_SIZES)) == list(BATCH_SIZES)


@pytest.mark.parametrize("images", range(1, 65))
def test_the_largest_size_that_images_fill_takes_two_thirds_of_them(images):
    assert max(size for size in BATCH_SIZES if size <= images) >= 2 / 3 * images


@pytest.mark.parametrize(
    ("limit", "sizes"), [(1, (1,)), (5, (1, 2, 3, 4)), (8, (1, 2, 3, 4, 6, 8)), (100, BATCH_SIZES)]
)
def test_a_ladder_ends_at_its_limit_or_below(limit, sizes):
    assert ladder(limit) == sizes
