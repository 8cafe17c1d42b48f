"""Bodies of requests and responses. The options have the same names in a JSON body, a multipart part `request`, or the query."""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema, field_validator, model_validator

from models.images.grid import RegionSpec
from models.images.preprocess import Fit
from service.operations.base import DType, EmbedOptions, Output

MAX_PATCHES = 16_384
"""Patch ids of a region: a grid of 128 x 128."""

Name = Annotated[str, Field(max_length=200)]
PNG = Annotated[bytes, WithJsonSchema({"type": "string", "contentEncoding": "base64", "contentMediaType": "image/png"})]


class Options(BaseModel):
    """What every route that takes images understands."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())

    model: Name | None = Field(None, description="Optional where one model is loaded.")
    fit: Fit | None = Field(
        None,
        description="`crop`: short side resized, centre crop (what models do by default). `squash`: the whole image.",
    )
    dtype: DType = "float32"
    encoding_format: Literal["float", "base64"] = Field("float", description="base64 is of little-endian values.")


class EmbedRequest(Options):
    """Options of an embedding."""

    output: Output = Field("pooled", description="One vector an image, or one a patch.")
    pooling: Name | None = Field(
        None, description="One of the poolings that `/v1/models/{model_id}` lists; its default if not given."
    )
    normalize: bool = Field(False, description="Scale vectors to length 1.")
    dimensions: int | None = Field(
        None, ge=1, le=1_000_000, description="Accepted when it is the width that the model has; vectors are never cut."
    )
    user: str | None = Field(None, max_length=512, description="Accepted for OpenAI's clients and ignored.")

    def options(self) -> EmbedOptions:
        """What the operation needs of it."""
        return EmbedOptions(self.output, self.pooling, self.normalize, self.dtype, self.fit)


ImageData = Annotated[str, Field(description="A data URL, or its bare base64.")]


class ImageItem(BaseModel):
    """An image as an object."""

    model_config = ConfigDict(extra="forbid")

    image: ImageData


class EmbeddingsBody(EmbedRequest):
    """`POST /v1/embeddings` as JSON."""

    input: ImageData | ImageItem | Annotated[list[ImageData | ImageItem], Field(min_length=1)]


class RegionBody(BaseModel):
    """One of three ways to name a region of an image. The mask's base64 is decoded before this is made."""

    model_config = ConfigDict(extra="forbid")

    box: Annotated[list[float], Field(min_length=4, max_length=4, fail_fast=True)] | None = Field(
        None, description="[x0, y0, x1, y1], 0 to 1 of the image as seen."
    )
    patches: Annotated[list[int], Field(max_length=MAX_PATCHES, fail_fast=True)] | None = Field(
        None, description="Row-major ids on the model's grid."
    )
    mask: PNG | None = Field(None, description="base64 of a PNG over the image; non-zero pixels are in the region.")

    @model_validator(mode="after")
    def _one_of_three(self) -> Self:
        if [self.box, self.patches, self.mask].count(None) != 2:
            raise ValueError("a region has exactly one of box, patches and mask")
        return self

    def spec(self) -> RegionSpec:
        """The region, without what is particular to HTTP."""
        return RegionSpec(self.box, self.patches, self.mask)


class PredictRequest(Options):
    """Options of a prediction."""

    targets: list[RegionBody] = Field(min_length=1, fail_fast=True, description="Each is predicted on its own.")
    context: RegionBody | None = Field(
        None, description="What may be seen; everything outside all targets if not given."
    )
    returns: list[Literal["predicted", "actual"]] = Field(
        [],
        alias="return",
        max_length=2,
        fail_fast=True,
        json_schema_extra={"uniqueItems": True},
        description="Tokens to return as well, each once.",
    )

    @field_validator("returns")
    @classmethod
    def _each_once(cls, returns: list[str]) -> list[str]:
        if len(set(returns)) < len(returns):
            raise ValueError(f"{returns[0]!r} is in the list twice")
        return returns


class PredictBody(PredictRequest):
    """`POST /v1/predict` as JSON."""

    image: ImageData


class EmbeddingItem(BaseModel):
    """One image's embedding. `shape` is that of patches."""

    object: Literal["embedding"]
    index: int
    embedding: list[float] | list[list[float]] | str
    shape: list[int] | None = None


class EmbeddingsResponse(BaseModel):
    """OpenAI's list of embeddings. A token is an encoded patch."""

    object: Literal["list"]
    model: str
    data: list[EmbeddingItem]
    usage: dict[str, int]


class TargetItem(BaseModel):
    """One region, predicted. `energy` is the mean over its patches of the distance that the model was trained with.

    `z` is how many standard deviations the energy is above what is usual there, null where the bundle is not calibrated.
    """

    patches: list[int]
    box: list[float]
    energy: float
    energy_per_patch: list[float]
    z: float | None
    z_per_patch: list[float] | None
    cosine: float
    predicted: list[list[float]] | str | None = None
    actual: list[list[float]] | str | None = None


class ResponseWarning(BaseModel):
    """Something that was done otherwise than asked."""

    code: str
    message: str
    target: int | None


class PredictionResponse(BaseModel):
    """The response of `/v1/predict`."""

    object: Literal["prediction"]
    model: str
    grid: list[int]
    context_patches: list[int]
    targets: list[TargetItem]
    warnings: list[ResponseWarning]


class ModelItem(BaseModel):
    """OpenAI's four fields."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str


class ModelList(BaseModel):
    """The loaded models."""

    object: Literal["list"]
    data: list[ModelItem]


class ModelDescription(ModelItem):
    """What the bundle says of itself, and how it runs here."""

    model_config = ConfigDict(extra="allow")

    sha256: str
    licence: str
    trained_on: str
    state: str
    dimensions: int
    poolings: dict[str, int]
    default_pooling: str
    grid: list[int]
    patch_size: int
    preprocessing: dict[str, Any]
    operations: list[str]
    precision: str
    runtime: str
    batch_size: int
    accuracy: dict[str, Any]
    ways: list[dict[str, Any]]
    images_per_second: float
    limits: dict[str, int]


class Alive(BaseModel):
    """The process answers."""

    status: Literal["live"]


class Ready(BaseModel):
    """The server takes work, with these models."""

    status: Literal["ready"]
    models: list[str]


class ErrorResponse(BaseModel):
    """The one shape of an error."""

    error: dict[Literal["message", "type", "param", "code"], Any]
