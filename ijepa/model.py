"""A bundle in this process: `load`, and the model that it gives."""

from collections.abc import Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path

import numpy as np
from jaxtyping import Float

from ijepa.images import ImageInput, ImageInputs, decode_input, iterate, memory_size, name_image
from ijepa.options import check_fit, check_masks, check_positive, embed_options
from ijepa.regions import RegionInput, parse_region, parse_targets
from ijepa.results import Energy, Prediction, Target
from models.bundle.manifest import Manifest
from models.bundle.reader import Bundle, find_bundle, read_bundle
from models.errors import DataError, OptionError
from models.images.preprocess import Fit
from models.inference.ahead import read_ahead
from models.inference.canonical import check_canonical
from models.inference.energy import draw_blocks, energy_maps
from models.inference.prediction import MAX_ROWS, Regions, TargetSpace, check_predicts, predict_regions
from models.inference.regions import cut_warning, place_regions
from models.runtimes.networks import Runtime
from models.runtimes.select import open_runtime
from service.operations.base import DType, Output
from service.operations.embed import embed_pixels, output_name

DEFAULT_MASKS = 8
"""Draws of an energy map, where they hide every patch."""


def load(bundle: str | Path, runtime: str = "auto", precision: str = "auto", threads: int = 0) -> "Model":
    """Open a bundle, check its files, and compute its canonical image.

    `bundle` is a folder, or a name in `./bundles`, in the user's bundles or among those that come with the project. `runtime`
    is `auto`, `cpu` or `gpu`; `precision` `auto`, `float32` or another that the bundle has. `threads` 0 leaves the number to
    the runtime.

    Raises:
        BundleError: no such bundle, an altered one, or one that computes something else here.
        ConfigError: a runtime or a precision that there is not.
    """
    opened = read_bundle(find_bundle(str(bundle)))
    model = Model(opened, open_runtime(runtime, opened, threads, precision))
    check_canonical(model.runtime, opened)
    return model


class Model:
    """A bundle and what computes it. Methods may be called from several threads."""

    def __init__(self, bundle: Bundle, runtime: Runtime) -> None:
        self.bundle, self.runtime = bundle, runtime
        self.space = TargetSpace.of(bundle.manifest)
        self._max_rows = max(MAX_ROWS, runtime.batch_size)

    def __repr__(self) -> str:
        return f"<ijepa.Model {self.manifest.id}: {self.runtime.name}, {self.runtime.precision}>"

    @property
    def manifest(self) -> Manifest:
        """What the network is, where it comes from, and how exact it is."""
        return self.bundle.manifest

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of patches."""
        return self.manifest.grid

    def embed(
        self,
        images: ImageInputs,
        output: Output = "pooled",
        pooling: str | None = None,
        normalize: bool = False,
        dtype: DType = "float32",
        fit: Fit | None = None,
        batch_size: int | None = None,
    ) -> Float[np.ndarray, "n *s D"]:
        """Embed one image or any number of them, in order: `[n, D]`, or `[n, gh, gw, D]` with `output="patches"`.

        The first axis is always there: one image gives n = 1. `images` is a path, bytes, a PIL image, a uint8 array, or an
        iterable of these of any length; they are read and decoded on a few threads, `2 * batch_size` images ahead of what is
        computed. `pooling` and `fit` are the bundle's own where None; `normalize` scales every vector to length 1. Without
        `batch_size` it is what was found best for this bundle on this machine.

        Raises:
            OptionError: an option that the bundle does not have.
            DataError: a file that cannot be read, or no images at all.
            ImageError: an image that cannot be used. The first that fails ends the call; the message says which it is.
        """
        options = embed_options(output, pooling, normalize, dtype, fit)
        if batch_size is not None:
            check_positive("batch_size", batch_size)
        output_name(self.manifest, options)
        preprocessing, size = self.manifest.model.pixels, batch_size or self.runtime.batch_size
        reads = read_ahead(
            iterate(images), lambda image: decode_input(image, preprocessing, fit)[0], 2 * size, memory_size
        )
        batches = []
        with closing(reads):
            while batch := list(islice(reads, size)):
                batches.append(embed_pixels(self.runtime, self.manifest, np.stack(batch), options))
        if not batches:
            raise DataError("there are no images to embed; an iterator gives its images only once")
        vectors = np.concatenate(batches)
        return vectors.reshape(len(vectors), *self.grid, -1) if output == "patches" else vectors

    def predict(
        self,
        image: ImageInput,
        targets: Sequence[RegionInput] | None = None,
        context: RegionInput | None = None,
        *,
        boxes: Sequence[Sequence[float]] | np.ndarray | None = None,
        fit: Fit | None = None,
    ) -> Prediction:
        """Hide regions of an image, predict each on its own from the context, and compare with what is there.

        `boxes=[[x0, y0, x1, y1], ...]` is short for `targets=[{"box": [x0, y0, x1, y1]}, ...]`; see `RegionInput`. The context
        is everything outside all targets, or what of `context` lies outside them.

        Raises:
            OptionError: no targets, or a bundle without a predictor.
            RegionError: a region that cannot be used; the message says which.
            DataError, ImageError: see `embed`.
        """
        check_predicts(self.manifest)
        check_fit(fit)
        asked = parse_targets(targets, boxes)
        given = None if context is None else parse_region(context, "context")
        preprocessing = self.manifest.model.pixels
        pixels, size = decode_input(name_image(image), preprocessing, fit)
        placed = place_regions(asked, given, size, preprocessing, fit, self.grid)
        (predictions,) = predict_regions(self.runtime, self.space, pixels[None], [placed.regions], self._max_rows)
        results = tuple(
            Target(
                patches=each.patches,
                box=target.box,
                energy=each.energy,
                energy_per_patch=each.energy_per_patch,
                z=each.z,
                z_per_patch=each.z_per_patch,
                cosine=each.cosine,
                predicted=each.predicted,
                actual=each.actual,
            )
            for target, each in zip(placed.targets, predictions, strict=True)
        )
        cut = [region.name for region, target in zip(asked, placed.targets, strict=True) if target.cut]
        cut += ["the context"] if placed.context_cut else []
        return Prediction(self.grid, placed.context, results, tuple(map(cut_warning, cut)))

    def energy(self, image: ImageInput, masks: int | None = None, seed: int = 0, *, fit: Fit | None = None) -> Energy:
        """How surprising each patch is given the rest: its mean energy over `masks` draws of the blocks of the training.

        Each draw hides its blocks and predicts each on its own. Together the draws hide every patch: without `masks` there are
        8, or as many as that takes on a larger grid. The same seed gives the same draws.

        Raises:
            OptionError: `masks` draws do not hide every patch (the message has the least number), or no predictor.
            ConfigError: a network that was not trained with blocks.
            DataError, ImageError: see `embed`.
        """
        check_predicts(self.manifest)
        check_fit(fit)
        check_masks(masks, seed)
        draws = self._draw_over_all(masks, seed)
        pixels, _ = decode_input(name_image(image), self.manifest.model.pixels, fit)
        energy = energy_maps(self.runtime, self.manifest, pixels[None], draws, self._max_rows)[0]
        z = self.space.z(energy.reshape(-1), np.arange(energy.size))
        return Energy(energy, float(energy.mean()), len(draws), seed, None if z is None else z.reshape(energy.shape))

    def _draw_over_all(self, masks: int | None, seed: int) -> list[Regions]:
        """Draws that together hide every patch at least once: `masks` of them, or at least `DEFAULT_MASKS`."""
        patches, count = self.grid[0] * self.grid[1], masks or DEFAULT_MASKS
        draws = draw_blocks(self.manifest.masking, self.grid, count, seed)
        while (least := _draws_needed(draws, patches)) is None:  # more draws begin with the same ones
            draws = draw_blocks(self.manifest.masking, self.grid, 2 * len(draws), seed)
        if masks is not None and least > masks:
            raise OptionError(
                f"masks is {masks}: with seed {seed}, at least {least} draws are needed to hide every patch once",
                "masks",
            )
        return draws[: max(count, least)]


def _draws_needed(draws: Sequence[Regions], patches: int) -> int | None:
    """How many of the draws it takes to hide every patch; None where all of them do not."""
    hidden = np.zeros(patches, dtype=bool)
    for count, draw in enumerate(draws, 1):
        hidden[np.concatenate(draw.targets)] = True
        if hidden.all():
            return count
    return None
