"""Embed: one image to one vector, or to one vector a patch."""

import asyncio
from collections.abc import Sequence
from typing import ClassVar, NamedTuple

import numpy as np
from jaxtyping import Float, UInt8

from models.bundle.manifest import Manifest
from models.errors import OptionError
from models.images.preprocess import Fit
from models.runtimes.batches import ladder
from models.runtimes.networks import Networks
from service.admission import Claim
from service.decoding.base import ImageReader
from service.errors import translate
from service.operations.base import Context, EmbedOptions, OnImages, Timings
from service.scheduler import Work


class Embedding(NamedTuple):
    """One image's embedding: `[D']`, or `[N, D]` row-major over the grid."""

    values: Float[np.ndarray, "..."]
    image_pixels: int
    timings: Timings


class _Item(NamedTuple):
    pixels: UInt8[np.ndarray, "H W C"]
    image_pixels: int
    output: str


class Embed(OnImages):
    """See `Operation`."""

    name: ClassVar[str] = "embed"
    needs_predictor: ClassVar[bool] = False
    cost: ClassVar[float] = 1.0

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.work: Work[_Item, np.ndarray] = Work(self.name, self._run, ladder(context.max_batch))

    async def __call__(self, data: bytes, options: EmbedOptions, claim: Claim, param: str | None = None) -> Embedding:
        """One image. `param` is its place in the request."""
        return (await self.all([(data, param)], options, claim))[0]

    async def all(
        self, images: Sequence[tuple[bytes, str | None]], options: EmbedOptions, claim: Claim
    ) -> list[Embedding]:
        """All images of a request, each with its place in it. The first that fails stops the rest."""
        try:
            name = output_name(self._context.bundle.manifest, options)
        except OptionError as error:
            raise translate(error) from error
        futures = [self._submit(claim, data, param, self._read, name, options.fit) for data, param in images]
        try:
            computed = await asyncio.gather(*futures)
        finally:
            for future in futures:
                future.cancel()
        return [Embedding(finish(done.result, options), done.item.image_pixels, Timings.of(done)) for done in computed]

    def _read(self, reader: ImageReader, data: bytes, output: str, fit: Fit | None) -> _Item:
        preprocessing = self._context.bundle.manifest.model.pixels
        pixels, (width, height) = reader.read_pixels(data, preprocessing, fit, self._context.limits)
        return _Item(pixels, width * height, output)

    def _run(self, items: Sequence[_Item], whole: bool) -> list[np.ndarray]:
        """One pass over all images with the union of the outputs that any of them wants."""
        pixels = np.stack([item.pixels for item in items])
        outputs = self._networks(whole).encode(pixels, sorted({item.output for item in items}))
        return [outputs[item.output][i].copy() for i, item in enumerate(items)]


def output_name(manifest: Manifest, options: EmbedOptions) -> str:
    """The graph's output that the options ask for.

    Raises:
        OptionError: a pooling that the bundle does not have.
    """
    pooling = pooling_of(manifest, options)
    return "tokens" if options.output == "patches" else pooling


def pooling_of(manifest: Manifest, options: EmbedOptions) -> str:
    """The pooling that the options name, or the default one.

    Raises:
        OptionError: the bundle does not have it.
    """
    pooling = options.pooling or manifest.default_pooling
    if pooling not in manifest.poolings:
        raise OptionError(
            f"pooling {pooling!r} is not in model {manifest.id}, which has {', '.join(manifest.poolings)}", "pooling"
        )
    return pooling


def embed_pixels(
    networks: Networks, manifest: Manifest, pixels: UInt8[np.ndarray, "B H W C"], options: EmbedOptions
) -> Float[np.ndarray, "B *s D"]:
    """Preprocessed images to `[B, D]`, or `[B, N, D]` for patches, normalised and cast as asked.

    Raises:
        OptionError: see `output_name`.
    """
    name = output_name(manifest, options)
    return finish(networks.encode(pixels, [name])[name], options)


def finish(values: Float[np.ndarray, "*s D"], options: EmbedOptions) -> Float[np.ndarray, "*s D"]:
    """Vectors as the options want them: of Euclidean length 1 (a zero vector stays zero), in the asked type."""
    if options.normalize:
        values = values / np.maximum(np.linalg.norm(values, axis=-1, keepdims=True), 1e-12)
    return values.astype(options.dtype, copy=False)
