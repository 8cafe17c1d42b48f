"""Bodies of requests and responses. The options have the same names in a JSON body, a multipart part `request`, or the query."""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from models.preprocess import Fit
from service.encoding import DType
from service.engine import Output


class Options(BaseModel):
    """What every route that takes pictures understands."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())

    model: str | None = Field(None, description="Optional where one model is loaded.")
    fit: Fit | None = Field(
        None,
        description="`crop`: short side resized, centre crop (what models do by default). `squash`: the whole picture.",
    )
    dtype: DType = "float32"
    encoding_format: Literal["float", "base64"] = Field("float", description="base64 is of little-endian numbers.")


class EmbedRequest(Options):
    """Options of an embedding."""

    output: Output = Field("pooled", description="One vector a picture, or one a patch.")
    pooling: str = Field("mean", description="One of the poolings that `/v1/models/{id}` lists.")
    normalize: bool = Field(False, description="Scale vectors to length 1.")
    dimensions: int | None = Field(
        None, description="Accepted when it is the width that the model has; nothing is cut."
    )
    user: str | None = Field(None, description="Accepted for OpenAI's clients and ignored.")


Picture = Annotated[str, Field(description="A data URL, or its bare base64.")]


class ImageItem(BaseModel):
    """A picture as an object."""

    model_config = ConfigDict(extra="forbid")

    image: Picture


class EmbeddingsBody(EmbedRequest):
    """`POST /v1/embeddings` as JSON."""

    input: Picture | ImageItem | list[Picture | ImageItem]


class Region(BaseModel):
    """One of three ways to name a part of a picture."""

    model_config = ConfigDict(extra="forbid")

    box: list[float] | None = Field(None, max_length=16, description="[x0, y0, x1, y1], 0 to 1 of the picture as seen.")
    patches: list[int] | None = Field(None, max_length=100_000, description="Row-major ids on the model's grid.")
    mask: str | None = Field(None, description="base64 of a PNG over the picture; what is not zero is in.")

    @model_validator(mode="after")
    def _one_of_three(self) -> Self:
        if [self.box, self.patches, self.mask].count(None) != 2:
            raise ValueError("a region has exactly one of box, patches and mask")
        return self


class PredictRequest(Options):
    """Options of a prediction."""

    targets: list[Region] = Field(min_length=1, description="Each is predicted on its own.")
    context: Region | None = Field(None, description="What may be seen; everything outside all targets if not given.")
    returns: list[Literal["predicted", "actual"]] = Field([], alias="return", description="Tokens to send along.")


class PredictBody(PredictRequest):
    """`POST /v1/predict` as JSON."""

    image: Picture


class EmbeddingItem(BaseModel):
    """One picture's embedding."""

    object: Literal["embedding"]
    index: int
    embedding: list[float] | list[list[float]] | str
    shape: list[int] | None = None


class EmbeddingsAnswer(BaseModel):
    """OpenAI's list of embeddings. A token is an encoded patch."""

    object: Literal["list"]
    model: str
    data: list[EmbeddingItem]
    usage: dict[str, int]


class TargetItem(BaseModel):
    """One region, predicted. `energy` is the mean over its patches of the distance that the model was trained with."""

    patches: list[int]
    box: list[float]
    energy: float
    energy_per_patch: list[float]
    cosine: float
    predicted: list[list[float]] | str | None = None
    actual: list[list[float]] | str | None = None


class Warned(BaseModel):
    """Something that was done otherwise than asked."""

    code: str
    message: str
    target: int | None


class PredictionAnswer(BaseModel):
    """The answer of `/v1/predict`."""

    object: Literal["prediction"]
    model: str
    grid: list[int]
    context_patches: list[int]
    targets: list[TargetItem]
    warnings: list[Warned]


class ErrorAnswer(BaseModel):
    """The one shape of an error."""

    error: dict[Literal["message", "type", "param", "code"], Any]
