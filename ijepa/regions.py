"""Regions of an image as people write them: to `RegionSpec`, and to the JSON of a request."""

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypedDict

import numpy as np
from PIL import Image

from models.errors import OptionError, RegionError, short_repr
from models.images.grid import RegionSpec
from models.inference.regions import NamedRegion

FORMS = "{'box': [x0, y0, x1, y1]}, {'patches': [ids]} or {'mask': booleans [h, w] or the bytes of a PNG}"


class RegionInput(TypedDict, total=False):
    """Exactly one of the three.

    `box` is (x0, y0, x1, y1), 0 to 1 of the image as seen. `patches` are row-major ids on the model's grid. `mask` is an array
    over the image, of any size, that is not zero where the region is, or the bytes of such a PNG.
    """

    box: Sequence[float] | np.ndarray
    patches: Sequence[int] | np.ndarray
    mask: bytes | np.ndarray


def parse_targets(
    targets: Sequence[RegionInput] | None, boxes: Sequence[Sequence[float]] | np.ndarray | None
) -> list[NamedRegion]:
    """The regions to predict.

    Raises:
        OptionError: neither of the two, both, or none in them.
        RegionError: a region that is not one on any image.
    """
    if (targets is None) == (boxes is None):
        raise OptionError("give either targets or boxes: the regions to predict", "targets")
    if boxes is not None:
        parsed = [parse_region({"box": box}, f"boxes[{i}]") for i, box in _enumerate(boxes, "boxes")]
    else:
        parsed = [parse_region(region, f"targets[{i}]") for i, region in _enumerate(targets, "targets")]
    if not parsed:
        raise OptionError("there are no targets; give at least one region to predict", "targets")
    return parsed


def parse_region(region: RegionInput | Mapping[str, Any], name: str) -> NamedRegion:
    """One region.

    Raises:
        RegionError: not exactly one of the three forms.
    """
    if not isinstance(region, Mapping) or len(region) != 1 or next(iter(region)) not in RegionSpec._fields:
        raise RegionError(f"{name} is {short_repr(region)}, expected {FORMS}", "malformed")
    (form, value) = next(iter(region.items()))
    try:
        if form == "box":
            return NamedRegion(name, RegionSpec(box=[float(number) for number in value]))
        if form == "patches":
            return NamedRegion(name, RegionSpec(patches=[_whole(number) for number in value]))
        return NamedRegion(name, RegionSpec(mask=_mask(value)))
    except (TypeError, ValueError) as error:
        raise RegionError(f"{name}.{form} is {short_repr(value)}, expected {FORMS}", "malformed") from error


def to_json(spec: RegionSpec) -> dict[str, Any]:
    """A region as a request has it: the mask as a PNG in base64."""
    if spec.box is not None:
        return {"box": list(spec.box)}
    if spec.patches is not None:
        return {"patches": list(spec.patches)}
    data = spec.mask
    if not isinstance(data, bytes):
        file = io.BytesIO()
        Image.fromarray(np.asarray(data).astype(np.uint8) * 255).save(file, "PNG")
        data = file.getvalue()
    return {"mask": base64.b64encode(data).decode()}


def _enumerate(values: Any, name: str) -> Iterable[tuple[int, Any]]:
    if isinstance(values, Mapping | str) or not isinstance(values, Iterable):
        raise OptionError(f"{name} is {short_repr(values)}, expected a list", name)
    return enumerate(values)


def _whole(number: Any) -> int:
    if number != int(number):
        raise ValueError
    return int(number)


def _mask(value: Any) -> bytes | np.ndarray:
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    array = np.asarray(value)
    if array.ndim != 2 or array.dtype.kind not in "buif":
        raise ValueError
    return array != 0
