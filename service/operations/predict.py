"""Predict: regions of one image, each from the same context, compared with what is there."""

from collections.abc import Sequence
from typing import ClassVar, NamedTuple

import numpy as np
from jaxtyping import Int64, UInt8

from models.errors import OptionError
from models.images.grid import RegionSpec
from models.images.preprocess import Fit
from models.inference.prediction import MAX_ROWS, TargetPrediction, TargetSpace, check_predicts, predict_regions
from models.inference.regions import NamedRegion, PlacedRegions, place_regions
from models.runtimes.batches import ladder
from service.admission import Claim
from service.decoding.base import ImageReader
from service.errors import translate
from service.operations.base import Context, OnImages, Timings
from service.scheduler import Work


class PredictOptions(NamedTuple):
    """Which regions are predicted, and what may be seen: everything outside all targets where `context` is None."""

    targets: Sequence[RegionSpec]
    context: RegionSpec | None = None
    fit: Fit | None = None


class PredictedTarget(NamedTuple):
    """One target: its prediction, the box around its patches in shares of the image, and whether the crop cut it."""

    prediction: TargetPrediction
    box: tuple[float, float, float, float]
    cut: bool


class PredictedImage(NamedTuple):
    """The targets of one image, and the context that all were predicted from."""

    context_patches: Int64[np.ndarray, " K"]
    context_cut: bool
    targets: list[PredictedTarget]
    timings: Timings


class _Item(NamedTuple):
    pixels: UInt8[np.ndarray, "H W C"]
    placed: PlacedRegions


class Predict(OnImages):
    """See `Operation`."""

    name: ClassVar[str] = "predict"
    needs_predictor: ClassVar[bool] = True
    cost: ClassVar[float] = 2.0

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._space = TargetSpace.of(context.bundle.manifest)
        self.work: Work[_Item, list[TargetPrediction]] = Work(
            self.name, self._run, ladder(max(1, context.max_batch // 4))
        )

    async def __call__(
        self, data: bytes, options: PredictOptions, claim: Claim, param: str | None = None
    ) -> PredictedImage:
        """Decode, preprocess, place the regions on the grid, queue, compute.

        Raises:
            UnsupportedOption: the bundle has no predictor.
            InvalidRegion: a region that cannot be used; `param` says which.
        """
        try:
            check_predicts(self._context.bundle.manifest)
        except OptionError as error:
            raise translate(error) from error
        done = await self._submit(claim, data, param, self._read, options)
        placed = done.item.placed
        targets = [
            PredictedTarget(prediction, target.box, target.cut)
            for target, prediction in zip(placed.targets, done.result, strict=True)
        ]
        return PredictedImage(placed.context, placed.context_cut, targets, Timings.of(done))

    def _read(self, reader: ImageReader, data: bytes, options: PredictOptions) -> _Item:
        """An image as the network's input, and its regions on the grid."""
        manifest = self._context.bundle.manifest
        preprocessing = manifest.model.pixels
        pixels, size = reader.read_pixels(data, preprocessing, options.fit, self._context.limits)
        targets = [NamedRegion(f"targets[{i}]", spec) for i, spec in enumerate(options.targets)]
        context = None if options.context is None else NamedRegion("context", options.context)
        placed = place_regions(targets, context, size, preprocessing, options.fit, manifest.grid, reader.decode_mask)
        return _Item(pixels, placed)

    def _run(self, items: Sequence[_Item], whole: bool) -> list[list[TargetPrediction]]:
        pixels = np.stack([item.pixels for item in items])
        regions = [item.placed.regions for item in items]
        return predict_regions(
            self._networks(whole), self._space, pixels, regions, max(MAX_ROWS, self._context.max_batch)
        )
