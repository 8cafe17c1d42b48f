"""Regions as they are asked for, on the grid of one image: what is predicted, from what, and what errors name."""

import io

import numpy as np
import pytest
from PIL import Image

from models.errors import RegionError
from models.images.grid import RegionSpec
from models.images.preprocess import Preprocessing
from models.inference.regions import NamedRegion, cut_warning, place_regions

PREPROCESSING = Preprocessing(size=(16, 16))
WIDE = (32, 16)


def place(targets, context=None, size=WIDE, fit=None):
    named = [NamedRegion(f"targets[{i}]", spec) for i, spec in enumerate(targets)]
    return place_regions(
        named, None if context is None else NamedRegion("context", context), size, PREPROCESSING, fit, (4, 4)
    )


def png(width, height):
    file = io.BytesIO()
    Image.new("1", (width, height), 1).save(file, "PNG")
    return file.getvalue()


def test_targets_have_their_patches_and_box_and_the_context_is_the_rest():
    placed = place([RegionSpec(box=(0.25, 0.0, 0.5, 0.25)), RegionSpec(patches=[15])])
    assert [target.patches.tolist() for target in placed.targets] == [[0, 1], [15]]
    assert [target.box for target in placed.targets] == [(0.25, 0.0, 0.5, 0.25), (0.625, 0.75, 0.75, 1.0)]
    assert placed.context.tolist() == list(range(2, 15))
    assert placed.regions.context is placed.context
    assert [patches.tolist() for patches in placed.regions.targets] == [[0, 1], [15]]


def test_what_the_crop_cuts_is_marked():
    placed = place([RegionSpec(box=(0, 0, 0.5, 0.5)), RegionSpec(patches=[15])], RegionSpec(box=(0, 0, 1, 1)))
    assert ([target.cut for target in placed.targets], placed.context_cut) == ([True, False], True)
    squashed = place([RegionSpec(box=(0, 0, 0.5, 0.5))], RegionSpec(box=(0, 0, 1, 1)), fit="squash")
    assert (squashed.targets[0].cut, squashed.context_cut) == (False, False)
    assert cut_warning("context").startswith("context lies partly outside the centre crop")


@pytest.mark.parametrize(
    ("region", "context", "reason", "param", "message"),
    [
        (RegionSpec(patches=[99]), None, "outside", "targets[1]", "targets[1]: patch 99"),
        (RegionSpec(box=[0.1]), None, "malformed", "targets[1]", "targets[1]: a box is four"),
        (RegionSpec(mask=b"x"), None, "malformed", "targets[1].mask", "targets[1].mask: not a PNG"),
        (RegionSpec(mask=png(5000, 1)), None, "too_large", "targets[1].mask", "targets[1].mask: a mask's side"),
        (RegionSpec(patches=[1]), RegionSpec(patches=[-1]), "outside", "context", "context: patch -1"),
        (RegionSpec(patches=[1]), RegionSpec(patches=[1]), "no_context", "context", "the targets leave no patch"),
        (RegionSpec(patches=range(16)), None, "no_context", "targets", "the targets leave no patch"),
    ],
    ids=str,
)
def test_an_error_says_which_region_and_why(region, context, reason, param, message):
    with pytest.raises(RegionError) as caught:
        place([RegionSpec(patches=[0]), region], context)
    assert (caught.value.reason, caught.value.param) == (reason, param)
    assert str(caught.value).startswith(message)


def test_the_context_never_holds_a_target():
    placed = place([RegionSpec(patches=[5])], RegionSpec(patches=[4, 5, 6]))
    np.testing.assert_array_equal(placed.context, [4, 6])
