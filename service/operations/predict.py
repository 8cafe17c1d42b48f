"""Predict: regions of one image, each from the same context, compared with what is there."""

import asyncio
import time
from collections.abc import Sequence
from typing import ClassVar, NamedTuple

import numpy as np
from jaxtyping import Int64, UInt8

from models.errors import ImageError, RegionError
from models.images.grid import Frame, Region, RegionSpec, box_of, context_without
from models.images.preprocess import Fit, read_pixels, view_of
from models.inference.prediction import Prediction, Regions, TargetSpace, predict_regions
from service.errors import ImageTooLarge, InvalidRequest, UnsupportedOption, translate
from service.operations.base import Context, Timings
from service.scheduler import Work


class PredictOptions(NamedTuple):
    """Which regions are predicted, and what may be seen: everything outside all targets where `context` is None."""

    targets: Sequence[RegionSpec]
    context: RegionSpec | None = None
    fit: Fit | None = None


class PredictedTarget(NamedTuple):
    """One target: its prediction, the box around its patches in shares of the image, and whether the crop cut it."""

    prediction: Prediction
    box: tuple[float, float, float, float]
    cut: bool


class PredictedImage(NamedTuple):
    """The targets of one image, and the context that all were predicted from."""

    context_patches: Int64[np.ndarray, " K"]
    context_cut: bool
    targets: list[PredictedTarget]
    timings: Timings


class _Placed(NamedTuple):
    pixels: UInt8[np.ndarray, "H W C"]
    frame: Frame
    targets: list[Region]
    context: Int64[np.ndarray, " K"]
    context_cut: bool


class _Item(NamedTuple):
    pixels: UInt8[np.ndarray, "H W C"]
    regions: Regions


class Predict:
    """See `Operation`."""

    name: ClassVar[str] = "predict"
    cost: ClassVar[float] = 2.0

    def __init__(self, context: Context) -> None:
        self._context = context
        self._space = TargetSpace.of(context.bundle.manifest)
        self.work: Work[_Item, list[Prediction]] = Work(self.name, self._run, max(1, context.max_batch // 4))

    async def __call__(self, data: bytes, options: PredictOptions, param: str | None = None) -> PredictedImage:
        """Decode, preprocess, place the regions on the grid, queue, compute.

        Raises:
            UnsupportedOption: the bundle has no predictor.
            InvalidRegion: a region that cannot be used; `param` says which.
        """
        manifest, scheduler, decoders = self._context.bundle.manifest, self._context.scheduler, self._context.decoders
        if not manifest.predicts:
            raise UnsupportedOption(f"model {manifest.id} has no predictor; it can only embed", "model")
        start = time.monotonic()
        scheduler.check_overload(decoders.waiting * self.work.seconds_per_item)
        placed = await decoders.run(start, param, self._place, data, options)
        decoded = time.monotonic()
        regions = Regions(placed.context, [target.patches for target in placed.targets])
        done = await asyncio.wrap_future(scheduler.submit(self.work, _Item(placed.pixels, regions), start))
        targets = [
            PredictedTarget(prediction, box_of(target.patches, placed.frame), target.cut)
            for target, prediction in zip(placed.targets, done.result, strict=True)
        ]
        timings = Timings(decoded - start, done.started - decoded, done.seconds)
        return PredictedImage(placed.context, placed.context_cut, targets, timings)

    def _place(self, data: bytes, options: PredictOptions) -> _Placed:
        """An image, and its regions on the grid."""
        manifest = self._context.bundle.manifest
        pixels, size = read_pixels(data, manifest.model.pixels, options.fit, self._context.limits)
        frame = Frame(size, view_of(size, manifest.model.pixels, options.fit), manifest.grid)
        targets = [_place(spec, frame, f"targets[{i}]") for i, spec in enumerate(options.targets)]
        given = None if options.context is None else _place(options.context, frame, "context")
        try:
            context = context_without(targets, given, frame)
        except RegionError as error:
            raise translate(error, "targets" if given is None else "context") from error
        return _Placed(pixels, frame, targets, context, given is not None and given.cut)

    def _run(self, items: Sequence[_Item]) -> list[list[Prediction]]:
        pixels = np.stack([item.pixels for item in items])
        regions = [item.regions for item in items]
        return predict_regions(self._context.runtime, self._space, pixels, regions, self._context.max_batch)


def _place(spec: RegionSpec, frame: Frame, param: str) -> Region:
    """A region on the grid, with its place in the request in every error."""
    try:
        return spec.on(frame)
    except RegionError as error:
        raise translate(type(error)(f"{param}: {error}", error.reason), param) from error
    except ImageError as error:
        kind = ImageTooLarge if isinstance(translate(error), ImageTooLarge) else InvalidRequest
        raise kind(f"{param}.mask: {error}", f"{param}.mask") from error
