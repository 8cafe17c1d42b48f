"""What a network is, as frozen values that travel with every checkpoint and bundle, and the table of sizes."""

from typing import Annotated, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, model_validator

from models.errors import ConfigError
from models.preprocess import PixelRecipe

Positive = Annotated[int, Field(gt=0)]


class Frozen(BaseModel):
    """A value that cannot change and accepts no field it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Size(NamedTuple):
    """One row of the table: the encoder's width, depth, heads and MLP width, and the predictor that goes with it."""

    width: int
    depth: int
    heads: int
    hidden: int
    predictor_width: int
    predictor_depth: int


SIZES = {
    # Ours, for small pictures: heads of 64 as in the paper's sizes, predictors half as wide as the encoder.
    "pico": Size(64, 4, 1, 256, 32, 2),
    "nano": Size(128, 6, 2, 512, 64, 4),
    # The paper's (appendix A.1) and its code's. "tiny" and "small" are in the code only and have no published weights.
    "tiny": Size(192, 12, 3, 768, 192, 6),
    "small": Size(384, 12, 6, 1536, 384, 6),
    "base": Size(768, 12, 12, 3072, 384, 6),
    "large": Size(1024, 24, 16, 4096, 384, 12),
    "huge": Size(1280, 32, 16, 5120, 384, 12),
    "giant": Size(1408, 40, 16, 6144, 384, 16),
}


class EncoderConfig(Frozen):
    """A Vision Transformer without class token over a grid of `(rows, columns)` square patches.

    `norm_eps` is of every LayerNorm: 1e-6 in the published code; a transformers configuration may say otherwise.
    """

    width: Positive
    depth: Positive
    heads: Positive
    hidden: Positive
    patch_size: Positive
    grid: tuple[Positive, Positive]
    channels: Literal[1, 3] = 3
    norm_eps: Annotated[float, Field(gt=0)] = 1e-6

    @model_validator(mode="after")
    def _check(self) -> "EncoderConfig":
        _check_width("encoder", self.width, self.heads)
        return self

    @property
    def patches(self) -> int:
        """N, the patches of a picture."""
        return self.grid[0] * self.grid[1]

    @property
    def mlp_ratio(self) -> float:
        """What timm multiplies the width by, and cuts to a whole number, to get `hidden`."""
        return (self.hidden + 0.5) / self.width

    def at_once(self, most: int) -> int:
        """How many pictures to compute at once on a CPU: at most so many, fewer of a large network."""
        return max(1, min(most, 2**20 // (self.patches * self.width)))

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.grid[0] * self.patch_size, self.grid[1] * self.patch_size


class PredictorConfig(Frozen):
    """The narrow transformer from context tokens and mask tokens to target tokens."""

    width: Positive
    depth: Positive
    heads: Positive

    @model_validator(mode="after")
    def _check(self) -> "PredictorConfig":
        _check_width("predictor", self.width, self.heads)
        return self


class ModelConfig(Frozen):
    """A whole I-JEPA. `predictor` is None for a source that has none."""

    encoder: EncoderConfig
    predictor: PredictorConfig | None
    pixels: PixelRecipe

    @model_validator(mode="after")
    def _check(self) -> "ModelConfig":
        given, expected = self.pixels.size, self.encoder.image_size
        if tuple(given) != expected or self.pixels.channels != self.encoder.channels:
            raise ValueError(
                f"the pixel recipe makes {given[0]}x{given[1]} pictures of {self.pixels.channels} channels, "
                f"the encoder takes {expected[0]}x{expected[1]} of {self.encoder.channels}"
            )
        return self


def model_of_size(
    size: str,
    *,
    patch_size: int,
    pixels: PixelRecipe,
    predictor_width: int | None = None,
    predictor_depth: int | None = None,
) -> ModelConfig:
    """The network of a row of `SIZES` for pictures made by `pixels`.

    Raises:
        ConfigError: unknown size, or a picture that is no whole number of patches.
    """
    if size not in SIZES:
        raise ConfigError(f"model size {size!r} is unknown; the sizes are {', '.join(SIZES)}")
    row = SIZES[size]
    height, width = pixels.size
    if height % patch_size or width % patch_size:
        raise ConfigError(
            f"pictures of {height}x{width} pixels are no whole number of {patch_size}x{patch_size} patches"
        )
    encoder = EncoderConfig(
        width=row.width,
        depth=row.depth,
        heads=row.heads,
        hidden=row.hidden,
        patch_size=patch_size,
        grid=(height // patch_size, width // patch_size),
        channels=pixels.channels,
    )
    predictor = PredictorConfig(
        width=predictor_width or row.predictor_width,
        depth=predictor_depth or row.predictor_depth,
        heads=row.heads,
    )
    return ModelConfig(encoder=encoder, predictor=predictor, pixels=pixels)


def _check_width(part: str, width: int, heads: int) -> None:
    """Sine-cosine positions need four numbers per frequency; attention needs whole heads."""
    if width % 4:
        raise ValueError(f"{part} width {width} must be a multiple of 4 for two-dimensional sine-cosine positions")
    if width % heads:
        raise ValueError(f"{part} width {width} must be a multiple of its {heads} heads")
