"""The journeys of a picture through one bundle: embed it, predict regions of it. Plain asyncio and numpy, no HTTP."""

import asyncio
import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Literal, NamedTuple, TypeVar

import numpy as np
from jaxtyping import Float, Float32, Int64, UInt8

from models.bundle import Bundle
from models.energy import layer_norm
from models.errors import BundleError, RegionError
from models.preprocess import Fit, to_pixels, view_of
from models.regions import Frame, Region, box_of, context_without
from service.batching import Batcher, Limits
from service.decoding import decode
from service.encoding import DType
from service.errors import DeadlineExceeded, InvalidRegion, InvalidRequest, UnsupportedOption
from service.pooling import normalise_rows, output_name
from service.runtimes import Runtime
from service.settings import Settings

Output = Literal["pooled", "patches"]
T = TypeVar("T")


class EmbedOptions(NamedTuple):
    """What is wanted of an embedding."""

    output: Output = "pooled"
    pooling: str = "mean"
    normalize: bool = False
    dtype: DType = "float32"
    fit: Fit | None = None


class Clocks(NamedTuple):
    """Seconds that a picture spent being decoded, waiting, and being computed."""

    decode: float
    queue: float
    inference: float


class Embedding(NamedTuple):
    """One picture's numbers: `[D']`, or `[N, D]` row-major over the grid."""

    values: Float[np.ndarray, "..."]
    picture_pixels: int
    clocks: Clocks


class TargetPrediction(NamedTuple):
    """What was predicted of one region, and how it compares with what is there."""

    patches: Int64[np.ndarray, " T"]
    box: tuple[float, float, float, float]
    energy_per_patch: Float[np.ndarray, " T"]
    cosine: float
    predicted: Float32[np.ndarray, "T D"]
    actual: Float32[np.ndarray, "T D"]
    cut: bool


class Prediction(NamedTuple):
    """The regions of one picture, predicted from the same context."""

    context_patches: Int64[np.ndarray, " K"]
    context_cut: bool
    targets: list[TargetPrediction]
    clocks: Clocks


class _Embed(NamedTuple):
    pixels: UInt8[np.ndarray, "H W C"]
    output: str


class _Asked(NamedTuple):
    pixels: UInt8[np.ndarray, "H W C"]
    frame: Frame
    targets: list[Region]
    context: Int64[np.ndarray, " K"]
    context_cut: bool


class _Predict(NamedTuple):
    pixels: UInt8[np.ndarray, "H W C"]
    context: Int64[np.ndarray, " K"]
    targets: list[Int64[np.ndarray, " T"]]


class _Predicted(NamedTuple):
    tokens: Float32[np.ndarray, "N D"]
    targets: list[Float32[np.ndarray, "T D"]]


OnBatch = Callable[[str, int, float], None]
"""Told of every batch: its graph, its items, its seconds."""


class Device:
    """What all engines of a process share: the right to compute, and the threads that decode."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.decoders = ThreadPoolExecutor(min(4, os.cpu_count() or 1), thread_name_prefix="decode")


ReadRegions = Callable[[Frame], tuple[list[Region], Region | None]]
"""From how a picture lies under the grid to the targets and the context (None: everything else)."""


class Engine:
    """One bundle, one runtime, one device. Pictures are decoded on a few threads; graphs run one at a time."""

    def __init__(self, bundle: Bundle, runtime: Runtime, settings: Settings, device: Device, on_batch: OnBatch) -> None:
        self.bundle, self.runtime, self.settings = bundle, runtime, settings
        self.manifest = bundle.manifest
        self.images_per_second = 0.0
        self._decoders, self._decoding = device.decoders, 0
        limits = Limits(settings.max_batch, settings.queue_seconds, settings.deadline_seconds)
        few = limits._replace(batch=max(1, settings.max_batch // 4))
        self._embeds: Batcher[_Embed, np.ndarray] = Batcher(
            "embed", self._run_embeds, limits, device.lock, lambda n, s: on_batch("encoder", n, s)
        )
        self._predicts: Batcher[_Predict, _Predicted] = Batcher(
            "predict", self._run_predicts, few, device.lock, lambda n, s: on_batch("predictor", n, s)
        )

    async def embed(self, data: bytes, options: EmbedOptions, param: str | None = None) -> Embedding:
        """Bytes to an embedding. Errors are those of `decode`, `Batcher.submit` and `output_name`."""
        name = output_name(self.manifest, options.output, options.pooling)
        start = time.monotonic()
        self._embeds.refuse_overload(self._decoding)
        pixels, size = await self._in_decoder(start, self.to_pixels, data, options.fit, param)
        decoded = time.monotonic()
        answer = await asyncio.wrap_future(self._embeds.submit(_Embed(pixels, name), start))
        values = normalise_rows(answer.result) if options.normalize else answer.result
        clocks = Clocks(decoded - start, answer.started - decoded, answer.seconds)
        return Embedding(values.astype(options.dtype, copy=False), size[0] * size[1], clocks)

    async def predict(
        self, data: bytes, read_regions: ReadRegions, fit: Fit | None, param: str | None = None
    ) -> Prediction:
        """Bytes and regions to predictions of the regions and their energies.

        Raises:
            UnsupportedOption: the bundle has no predictor.
            InvalidRegion: a region that cannot be used; `param` says which.
        """
        if not self.manifest.predicts:
            raise UnsupportedOption(f"model {self.manifest.id} has no predictor; it can only embed", "model")
        start = time.monotonic()
        self._predicts.refuse_overload(self._decoding)
        ask = await self._in_decoder(start, self._read, data, read_regions, fit, param)
        decoded = time.monotonic()
        work = _Predict(ask.pixels, ask.context, [target.patches for target in ask.targets])
        answer = await asyncio.wrap_future(self._predicts.submit(work, start))
        results = await asyncio.to_thread(
            lambda: [
                self._compare(target, predicted, answer.result.tokens, ask.frame)
                for target, predicted in zip(ask.targets, answer.result.targets, strict=True)
            ]
        )
        clocks = Clocks(decoded - start, answer.started - decoded, answer.seconds)
        return Prediction(ask.context, ask.context_cut, results, clocks)

    def check(self) -> None:
        """Compute the canonical picture.

        Raises:
            BundleError: the numbers are not those that the bundle was exported with.
            RuntimeFailure: the runtime cannot compute them.
        """
        canonical = self.bundle.canonical()
        pixels = canonical["pixels"][None]
        outputs = self.runtime.encode(pixels, ["tokens", *self.manifest.checked(self.runtime.precision)])
        if self.manifest.predicts:
            context_ids, target_ids = canonical["context_ids"][None], canonical["target_ids"][None]
            tokens = self.runtime.encode_context(pixels, context_ids)
            outputs["predicted"] = self.runtime.predict(tokens, context_ids, target_ids)
        for name, values in outputs.items():
            expected = canonical[name]
            rms = float(np.sqrt(np.mean(np.square(canonical["tokens"]))))
            allowed = self.manifest.tolerance[self.runtime.precision] * max(1.0, rms)
            worst = float(np.abs(values[0] - expected).max())
            if not worst <= allowed and self.runtime.name != "fake":
                raise BundleError(
                    f"{self.manifest.id}: {name} of the canonical picture is off by {worst:.2e}, allowed is {allowed:.2e}, "
                    f"on {self.runtime.name}"
                )

    def measure(self) -> None:
        """The pictures a second of a full batch, or of as large a one as a second allows: the median of three."""
        pixels = self.bundle.canonical()["pixels"][None]
        size = int(min(self.settings.max_batch, max(1, 1 / self._seconds(pixels))))
        batch = np.repeat(pixels, size, axis=0)
        seconds = float(np.median([self._seconds(batch) for _ in range(4)][1:]))
        self.images_per_second = size / seconds
        self._embeds.expect(seconds / size)
        self._predicts.expect(2 * seconds / size)

    def _seconds(self, batch: UInt8[np.ndarray, "B H W C"]) -> float:
        start = time.perf_counter()
        self.runtime.encode(batch, ["mean"])
        return time.perf_counter() - start

    def waiting(self) -> tuple[int, float]:
        """Items that wait for the device, and the seconds that they should take."""
        embeds, predicts = self._embeds.waiting(), self._predicts.waiting()
        return embeds[0] + predicts[0], embeds[1] + predicts[1]

    def close(self) -> None:
        """Finish what waits, then stop the threads."""
        self._embeds.close()
        self._predicts.close()

    def to_pixels(self, data: bytes, fit: Fit | None, param: str | None = None) -> tuple[np.ndarray, tuple[int, int]]:
        """The network's input, and the size (width, height) of the picture as seen. Errors are those of `decode`."""
        image = decode(data, self.settings, param)
        return to_pixels(image, self.manifest.model.pixels, fit), image.size

    def _read(self, data: bytes, read_regions: ReadRegions, fit: Fit | None, param: str | None) -> _Asked:
        """A picture and its regions on the grid."""
        pixels, size = self.to_pixels(data, fit, param)
        frame = Frame(size, view_of(size, self.manifest.model.pixels, fit), self.manifest.grid)
        targets, given = read_regions(frame)
        try:
            context = context_without(targets, given, frame)
        except RegionError as error:
            raise InvalidRegion(str(error), "context" if given is not None else "targets") from error
        return _Asked(pixels, frame, targets, context, given is not None and given.cut)

    async def _in_decoder(self, arrived: float, work: Callable[..., T], *args: object) -> T:
        """`work` on a decoding thread, if its turn comes in time."""

        def in_time() -> T:
            if time.monotonic() - arrived > self.settings.deadline_seconds:
                raise DeadlineExceeded(f"waited more than {self.settings.deadline_seconds:.0f} s to be decoded")
            return work(*args)

        self._decoding += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._decoders, in_time)
        finally:
            self._decoding -= 1

    def _run_embeds(self, items: Sequence[_Embed]) -> list[np.ndarray]:
        """One pass over all pictures with the union of the outputs that any of them wants."""
        pixels = np.stack([item.pixels for item in items])
        outputs = self.runtime.encode(pixels, sorted({item.output for item in items}))
        return [outputs[item.output][i].copy() for i, item in enumerate(items)]

    def _run_predicts(self, items: Sequence[_Predict]) -> list[_Predicted]:
        """Contexts of all pictures in one pass, padded; then all target blocks of all pictures, padded, a batch at a time."""
        pixels = np.stack([item.pixels for item in items])
        actual = self.runtime.encode(pixels, ["tokens"])["tokens"]
        context_ids = padded([item.context for item in items])
        context_tokens = self.runtime.encode_context(pixels, context_ids)
        rows = np.repeat(np.arange(len(items)), [len(item.targets) for item in items])
        blocks = [block for item in items for block in item.targets]
        predicted: list[np.ndarray] = []
        for first in range(0, len(blocks), self.settings.max_batch):
            part = slice(first, first + self.settings.max_batch)
            ids = padded(blocks[part])
            predicted += list(self.runtime.predict(context_tokens[rows[part]], context_ids[rows[part]], ids))
        results = iter([tokens[: len(block)].copy() for tokens, block in zip(predicted, blocks, strict=True)])
        return [_Predicted(actual[i].copy(), [next(results) for _ in item.targets]) for i, item in enumerate(items)]

    def _compare(self, region: Region, predicted: np.ndarray, tokens: np.ndarray, frame: Frame) -> TargetPrediction:
        """Against the layer-normed target tokens, by the distance that the network was trained with."""
        actual = layer_norm(tokens[region.patches], self.manifest.target_normalisation["eps"])
        products = np.linalg.norm(predicted, axis=1) * np.linalg.norm(actual, axis=1)
        return TargetPrediction(
            patches=region.patches,
            box=box_of(region.patches, frame),
            energy_per_patch=self.manifest.distance(predicted - actual),
            cosine=float(np.mean((predicted * actual).sum(axis=1) / np.maximum(products, 1e-12))),
            predicted=predicted,
            actual=actual,
            cut=region.cut,
        )


def padded(rows: Sequence[Int64[np.ndarray, " _"]]) -> Int64[np.ndarray, "R _"]:
    """Id lists as one array, filled up with -1."""
    if not rows:
        raise InvalidRequest("there are no targets", "targets")
    table = np.full((len(rows), max(map(len, rows))), -1, dtype=np.int64)
    for row, ids in zip(table, rows, strict=True):
        row[: len(ids)] = ids
    return table
