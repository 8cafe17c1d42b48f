"""The regions of one prediction: from what was asked for to patches of the grid. The one place for requests and Python."""

from collections.abc import Sequence
from typing import NamedTuple

from jaxtyping import Int64
from numpy import ndarray

from models.errors import ImageError, ImagePixelsError, RegionError
from models.images.decode import decode_mask as decode_here
from models.images.grid import DecodeMask, Frame, Region, RegionSpec, box_of, context_without
from models.images.preprocess import Fit, Preprocessing, view_of
from models.inference.prediction import Regions


class NamedRegion(NamedTuple):
    """A region, and what errors call it: its place in the request, as `targets[0]` or `context`."""

    name: str
    spec: RegionSpec


class PlacedTarget(NamedTuple):
    """A target's patches in ascending order, the box around them in shares of the image, and whether the crop cut it."""

    patches: Int64[ndarray, " T"]
    box: tuple[float, float, float, float]
    cut: bool


class PlacedRegions(NamedTuple):
    """The targets in the order asked for, the patches that all are predicted from, and whether the crop cut the context."""

    context: Int64[ndarray, " K"]
    targets: list[PlacedTarget]
    context_cut: bool

    @property
    def regions(self) -> Regions:
        """What `predict_regions` takes."""
        return Regions(self.context, [target.patches for target in self.targets])


def place_regions(
    targets: Sequence[NamedRegion],
    context: NamedRegion | None,
    size: tuple[int, int],
    preprocessing: Preprocessing,
    fit: Fit | None,
    grid: tuple[int, int],
    decode_mask: DecodeMask = decode_here,
) -> PlacedRegions:
    """Regions on the grid of an image of `size` (width, height). Without `context`, everything outside all targets.

    Masks are decoded by `decode_mask`, one after the other, and not kept.

    Raises:
        RegionError: one that cannot be used, or no context is left; `param` is its name.
    """
    frame = Frame(size, view_of(size, preprocessing, fit), grid)
    placed = [_place(target, frame, decode_mask) for target in targets]
    given = None if context is None else _place(context, frame, decode_mask)
    try:
        seen = context_without(placed, given, frame)
    except RegionError as error:
        raise RegionError(str(error), error.reason, "targets" if context is None else context.name) from error
    on_grid = [PlacedTarget(region.patches, box_of(region.patches, frame), region.cut) for region in placed]
    return PlacedRegions(seen, on_grid, given is not None and given.cut)


def cut_warning(name: str) -> str:
    """The warning for a region that the crop cut."""
    return f"{name} lies partly outside the centre crop; only what the model sees of it was used"


def _place(region: NamedRegion, frame: Frame, decode_mask: DecodeMask) -> Region:
    try:
        return region.spec.on(frame, decode_mask)
    except RegionError as error:
        raise RegionError(f"{region.name}: {error}", error.reason, region.name) from error
    except ImageError as error:
        reason = "too_large" if isinstance(error, ImagePixelsError) else "malformed"
        raise RegionError(f"{region.name}.mask: {error}", reason, f"{region.name}.mask") from error
