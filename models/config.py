"""The architecture of a network, stored with every checkpoint and bundle, and the table of sizes."""

import math
from typing import Annotated, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, model_validator

from models.errors import ConfigError
from models.images.preprocess import Preprocessing

MAX_WIDTH = 16_384
MAX_PIXELS = 2**25
"""Of an image as a network takes it."""
MIN_CROP = 0.01
MAX_POSITIONS = 2**25
"""Values in a table of positions: patches times width."""

Width = Annotated[int, Field(gt=0, le=MAX_WIDTH)]
Depth = Annotated[int, Field(gt=0, le=256)]
Heads = Annotated[int, Field(gt=0, le=256)]
Hidden = Annotated[int, Field(gt=0, le=4 * MAX_WIDTH)]
PatchSize = Annotated[int, Field(gt=0, le=1024)]
GridSide = Annotated[int, Field(gt=0, le=1024)]


class Frozen(BaseModel):
    """An immutable record; unknown fields are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Size(NamedTuple):
    """A row of the table of sizes: the encoder's width, depth, heads and MLP width, and its predictor's width and depth."""

    width: int
    depth: int
    heads: int
    hidden: int
    predictor_width: int
    predictor_depth: int


SIZES = {
    # For small images: 64 dimensions a head as in the paper's sizes, predictors half as wide as the encoder.
    "pico": Size(64, 4, 1, 256, 32, 2),
    "nano": Size(128, 6, 2, 512, 64, 4),
    # Of the paper (appendix A.1) and its code. "tiny" and "small" are in the code only; no weights were published for them.
    "tiny": Size(192, 12, 3, 768, 192, 6),
    "small": Size(384, 12, 6, 1536, 384, 6),
    "base": Size(768, 12, 12, 3072, 384, 6),
    "large": Size(1024, 24, 16, 4096, 384, 12),
    "huge": Size(1280, 32, 16, 5120, 384, 12),
    "giant": Size(1408, 40, 16, 6144, 384, 16),
}


class EncoderConfig(Frozen):
    """A Vision Transformer without class token over a grid of `(rows, columns)` square patches.

    `norm_eps` is the epsilon of every LayerNorm: 1e-6 in the published code; a transformers configuration may have another.
    """

    width: Width
    depth: Depth
    heads: Heads
    hidden: Hidden
    patch_size: PatchSize
    grid: tuple[GridSide, GridSide]
    channels: Literal[1, 3] = 3
    norm_eps: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1e-6

    @model_validator(mode="after")
    def _check(self) -> "EncoderConfig":
        _check_width("encoder", self.width, self.heads)
        height, width = self.image_size
        if height * width > MAX_PIXELS:
            raise ValueError(f"images of {height}x{width} pixels are too large, at most {MAX_PIXELS:,} are allowed")
        _check_positions("encoder", self.patches, self.width)
        return self

    @property
    def patches(self) -> int:
        """N, the patches of an image."""
        return self.grid[0] * self.grid[1]

    @property
    def flop(self) -> int:
        """FLOP of encoding an image: its matrix products alone; a multiplication and an addition are 2."""
        n, d = self.patches, self.width
        block = 2 * n * (4 * d * d + 2 * d * self.hidden) + 4 * n * n * d
        return self.depth * block + 2 * n * self.patch_size**2 * self.channels * d

    @property
    def mlp_ratio(self) -> float:
        """The ratio that timm multiplies by the width and truncates to get `hidden`."""
        return (self.hidden + 0.5) / self.width

    def cpu_batch_size(self, limit: int) -> int:
        """Images to compute at once on a CPU: `limit`, fewer for a large network."""
        return max(1, min(limit, 2**20 // (self.patches * self.width)))

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.grid[0] * self.patch_size, self.grid[1] * self.patch_size


class PredictorConfig(Frozen):
    """The predictor's transformer, from context tokens and mask tokens to target tokens."""

    width: Width
    depth: Depth
    heads: Heads

    @model_validator(mode="after")
    def _check(self) -> "PredictorConfig":
        _check_width("predictor", self.width, self.heads)
        return self


class ModelConfig(Frozen):
    """An I-JEPA. `predictor` is None for imported weights without one."""

    encoder: EncoderConfig
    predictor: PredictorConfig | None
    pixels: Preprocessing

    @model_validator(mode="after")
    def _check(self) -> "ModelConfig":
        given, expected = self.pixels.size, self.encoder.image_size
        if tuple(given) != expected or self.pixels.channels != self.encoder.channels:
            raise ValueError(
                f"the preprocessing makes {given[0]}x{given[1]} images of {self.pixels.channels} channels, "
                f"the encoder takes {expected[0]}x{expected[1]} of {self.encoder.channels}"
            )
        if self.pixels.crop < MIN_CROP:
            raise ValueError(f"the preprocessing has crop {self.pixels.crop}; expected at least {MIN_CROP}")
        if not all(map(math.isfinite, (*self.pixels.mean, *self.pixels.std))) or min(self.pixels.std) <= 0:
            raise ValueError(
                f"the preprocessing has mean {self.pixels.mean} and std {self.pixels.std}; expected finite values, std above 0"
            )
        if self.predictor:
            _check_positions("predictor", self.encoder.patches, self.predictor.width)
        return self


def model_of_size(
    size: str,
    *,
    patch_size: int,
    pixels: Preprocessing,
    predictor_width: int | None = None,
    predictor_depth: int | None = None,
) -> ModelConfig:
    """The network of a row of `SIZES` for images made by `pixels`.

    Raises:
        ConfigError: an unknown size, or an image size that is not divisible by the patch size.
    """
    if size not in SIZES:
        raise ConfigError(f"unknown model size {size!r}; the sizes are {', '.join(SIZES)}")
    row = SIZES[size]
    encoder = EncoderConfig(
        width=row.width,
        depth=row.depth,
        heads=row.heads,
        hidden=row.hidden,
        patch_size=patch_size,
        grid=patch_grid(pixels.size, patch_size),
        channels=pixels.channels,
    )
    predictor = PredictorConfig(
        width=predictor_width or row.predictor_width,
        depth=predictor_depth or row.predictor_depth,
        heads=row.heads,
    )
    return ModelConfig(encoder=encoder, predictor=predictor, pixels=pixels)


def patch_grid(size: tuple[int, int], patch_size: int) -> tuple[int, int]:
    """Rows and columns of patches in an image of `size` (height, width).

    Raises:
        ConfigError: a size that is not divisible by the patch size.
    """
    for side in size:
        if side < 1 or side % patch_size:
            raise ConfigError(f"image size {side} is not divisible by patch size {patch_size}")
    return size[0] // patch_size, size[1] // patch_size


def _check_positions(part: str, patches: int, width: int) -> None:
    """A table of positions is computed whenever a network is built."""
    if patches * width > MAX_POSITIONS:
        raise ValueError(
            f"{part} width {width} times {patches:,} patches is too large, at most {MAX_POSITIONS:,} are allowed"
        )


def _check_width(part: str, width: int, heads: int) -> None:
    """Sine-cosine positions take four values per frequency; every head has the same width."""
    if width % 4:
        raise ValueError(f"{part} width {width} must be a multiple of 4 for two-dimensional sine-cosine positions")
    if width % heads:
        raise ValueError(f"{part} width {width} must be a multiple of its {heads} heads")
