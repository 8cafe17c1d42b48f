import io
import itertools
import struct
import time
from contextlib import suppress

import numpy as np
import pytest
from PIL import Image

from models.errors import BrokenImageError, RegionError
from models.images.grid import (
    MAX_PNG_CHUNKS,
    Frame,
    RegionSpec,
    box_of,
    context_without,
    from_box,
    from_mask,
    from_patches,
    mask_size,
)
from models.images.preprocess import Preprocessing, view_of

PREPROCESSING = Preprocessing(size=(16, 16))


def frame(width=16, height=16, fit="crop", grid=(4, 4)):
    return Frame((width, height), view_of((width, height), PREPROCESSING, fit), grid)


def test_a_patch_belongs_to_a_box_that_covers_any_of_it():
    assert from_box([0.3, 0.3, 0.6, 0.6], frame()).patches.tolist() == [5, 6, 9, 10]
    assert from_box([0.0, 0.0, 1.0, 1.0], frame()).patches.tolist() == list(range(16))
    assert from_box([0.99, 0.99, 1.0, 1.0], frame()).patches.tolist() == [15]


def test_an_edge_within_a_hundredth_of_a_patch_lies_on_the_line():
    for nudge in (-0.009, 0.0, 0.009):
        edge = 0.25 + nudge / 4
        assert from_box([edge, 0.0, 0.5, 0.25], frame()).patches.tolist() == [1]
        assert from_box([0.0, 0.0, edge, 0.25], frame()).patches.tolist() == [0]
    assert from_box([0.0, 0.0, 0.25 + 0.02 / 4, 0.25], frame()).patches.tolist() == [0, 1]


@pytest.mark.parametrize("size", [(16, 16), (40, 16), (16, 40), (33, 57)])
@pytest.mark.parametrize("fit", ["crop", "squash"])
def test_the_box_of_patches_gives_the_same_patches_again(size, fit):
    here = frame(size[0], size[1], fit)
    for top, left in itertools.product(range(4), repeat=2):
        for bottom, right in itertools.product(range(top + 1, 5), range(left + 1, 5)):
            ids = np.arange(16).reshape(4, 4)[top:bottom, left:right].reshape(-1)
            assert from_box(box_of(ids, here), here).patches.tolist() == ids.tolist()


def test_a_mask_is_the_union_of_its_cells():
    """Against every set cell as a box of its own, for masks finer and coarser than the grid, over a cropped image."""
    here, draw = frame(48, 16), np.random.default_rng(0)
    for shape in ((3, 5), (16, 48), (7, 31)):
        mask = draw.random(shape) < 0.1
        mask[shape[0] // 2, shape[1] // 2] = True
        expected = set()
        for row, column in zip(*np.nonzero(mask), strict=True):
            box = [float(x) for x in (column / shape[1], row / shape[0], (column + 1) / shape[1], (row + 1) / shape[0])]
            with suppress(RegionError):  # cut away
                expected |= set(from_box(box, here).patches.tolist())
        assert from_mask(mask, here).patches.tolist() == sorted(expected)


def test_what_the_crop_cuts_is_told():
    wide = frame(48, 16)
    assert from_box([0.4, 0.0, 0.6, 1.0], wide).cut is False
    assert from_box([0.2, 0.0, 0.5, 1.0], wide).cut is True
    assert from_box([0.2, 0.0, 0.5, 1.0], frame(48, 16, "squash")).cut is False
    with pytest.raises(RegionError, match="fit=squash") as caught:
        from_box([0.0, 0.0, 0.3, 1.0], wide)
    assert caught.value.reason == "cut_away"


def test_something_thinner_than_the_slack_lies_where_its_middle_is():
    assert from_box([0.2495, 0.0, 0.2501, 0.1], frame()).patches.tolist() == [0]
    assert from_box([0.2499, 0.0, 0.2505, 0.1], frame()).patches.tolist() == [1]
    line = np.zeros((4000, 4000), dtype=bool)
    line[:, 1000] = True
    assert from_mask(line, frame()).patches.tolist() == [1, 5, 9, 13]


@pytest.mark.parametrize(
    ("box", "reason"),
    [
        ([0.1, 0.1, 0.5], "malformed"),
        ([0.1, 0.1, float("nan"), 0.5], "malformed"),
        ([0.5, 0.1, 0.5, 0.5], "empty"),
        ([0.6, 0.1, 0.5, 0.5], "empty"),
        ([-0.1, 0.1, 0.5, 0.5], "outside"),
        ([0.1, 0.1, 0.5, 1.5], "outside"),
    ],
)
def test_impossible_boxes(box, reason):
    with pytest.raises(RegionError) as caught:
        from_box(box, frame())
    assert caught.value.reason == reason


def test_impossible_patches_and_masks():
    for make, reason in (
        (lambda: from_patches([], frame()), "empty"),
        (lambda: from_patches([16], frame()), "outside"),
        (lambda: from_patches([-1], frame()), "outside"),
        (lambda: from_mask(np.zeros((4, 4), dtype=bool), frame()), "empty"),
    ):
        with pytest.raises(RegionError) as caught:
            make()
        assert caught.value.reason == reason


def test_context_is_everything_outside_the_targets_and_never_in_them():
    targets = [from_patches([0, 1], frame()), from_patches([1, 2], frame())]
    assert context_without(targets, None, frame()).tolist() == list(range(3, 16))
    given = from_patches([2, 3, 4], frame())
    assert context_without(targets, given, frame()).tolist() == [3, 4]
    with pytest.raises(RegionError, match="leave no patch"):
        context_without(targets, from_patches([0, 2], frame()), frame())


def chunk(name, data=b""):
    return struct.pack(">I", len(data)) + name + data + b"crc."


def header(width, height):
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))


def test_the_size_of_a_mask_is_the_largest_that_its_headers_say():
    """A later header counts for a decoder, one in another part or after the pixels does not."""
    magic, pixels = b"\x89PNG\r\n\x1a\n", chunk(b"IDAT", b"x")
    assert mask_size(magic + header(3, 5) + pixels) == (3, 5)
    assert mask_size(magic + header(3, 5) + header(4096, 2) + pixels) == (4096, 5)
    assert mask_size(magic + header(3, 5) + chunk(b"tEXt", header(9, 9)) + pixels) == (3, 5)
    assert mask_size(magic + header(3, 5) + chunk(b"tEXt", b"IDAT") + header(9, 9) + pixels) == (9, 9)
    assert mask_size(magic + header(3, 5) + pixels + header(9, 9)) == (3, 5)
    file = io.BytesIO()
    Image.new("1", (70, 40)).save(file, "PNG")
    assert mask_size(file.getvalue()) == (70, 40)


@pytest.mark.parametrize(
    "data", [b"", b"x", b"\x89PNG\r\n\x1a\n", b"\x89PNG\r\n\x1a\n" + header(3, 5)[:15], b"\xff" * 100]
)
def test_what_has_no_header_has_no_size(data):
    assert mask_size(data) == (0, 0)


def test_a_mask_with_very_many_parts_before_its_pixels_is_broken():
    data = b"\x89PNG\r\n\x1a\n" + header(3, 5) + chunk(b"tEXt") * 1_000_000
    with pytest.raises(BrokenImageError, match=f"more than {MAX_PNG_CHUNKS:,} parts"):
        mask_size(data)


def test_masks_as_large_as_a_request_may_have_take_a_moment():
    """One of 4096 x 4096, and 64 that are long and thin."""
    start = time.monotonic()
    large, thin = np.zeros((4096, 4096), dtype=bool), np.zeros((4096, 64), dtype=bool)
    large[0, 0] = thin[0, 0] = True
    from_mask(large, frame())
    for _ in range(64):
        from_mask(thin, frame())
    assert time.monotonic() - start < 2


def test_a_mask_is_decoded_by_the_function_that_is_given():
    asked = []

    def decode(data):
        asked.append(data)
        return np.eye(4, dtype=bool)

    assert RegionSpec(mask=b"a mask").on(frame(), decode).patches.tolist() == [0, 5, 10, 15]
    assert asked == [b"a mask"]
