"""`/v1/embeddings`, OpenAI's, and `/v1/images/embeddings`, made for raw bytes: one route under two names."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from fastapi import APIRouter, Request, Response

from service.api.body import declared_size, take_response_bytes
from service.api.dependencies import service_of
from service.api.disconnect import answer_in_time
from service.api.negotiation import BYTES_PER_VALUE, ENCODINGS, JSON, MEDIA, choose_media
from service.api.offload import collect
from service.api.openapi import document_route
from service.api.options import validate_options
from service.api.parsing import check_image_count, parse_request
from service.api.responses import json_pieces, pieces_response, server_timing
from service.errors import (
    BodyTooLarge,
    DeadlineExceeded,
    Draining,
    Forbidden,
    ImageTooLarge,
    Internal,
    InvalidImage,
    InvalidRequest,
    ModelNotFound,
    NotAcceptable,
    NotReady,
    Overloaded,
    RequestTimeout,
    TooManyImages,
    UnsupportedMediaType,
    UnsupportedOption,
)
from service.operations.embed import Embed, Embedding
from service.registry import LoadedModel
from service.schemas import EmbeddingsBody, EmbeddingsResponse, EmbedRequest

router = APIRouter(tags=["embeddings"])

IMAGE_ERRORS = (
    InvalidRequest, UnsupportedOption, Forbidden, ModelNotFound, NotAcceptable, RequestTimeout, BodyTooLarge, TooManyImages,
    ImageTooLarge, UnsupportedMediaType, InvalidImage, Overloaded, Internal, NotReady, Draining, DeadlineExceeded,
)  # fmt: skip


@router.post(
    "/v1/embeddings",
    response_model=EmbeddingsResponse,
    summary="Embed images, as OpenAI's clients ask",
    **document_route(EmbeddingsBody, *IMAGE_ERRORS, query=EmbedRequest, media=MEDIA),
)
@router.post(
    "/v1/images/embeddings",
    response_model=EmbeddingsResponse,
    summary="Embed images sent as files or raw bytes",
    operation_id="embed_images",
    **document_route(EmbeddingsBody, *IMAGE_ERRORS, query=EmbedRequest, media=MEDIA),
)
async def embed(request: Request) -> Response:
    """Each image as one vector (`output=pooled`), or as one vector a patch (`output=patches`)."""
    service = await service_of(request)
    media = choose_media(request.headers.get("accept"))
    service.registry.check_ready()
    request.state.claim.check(declared_size(request))
    parsed = await parse_request(request, service.settings, "input")
    asked = validate_options(EmbedRequest, parsed.options)
    model = service.registry.select(asked.model)
    check_options(asked, model, media)
    if asked.output == "patches":
        check_image_count(len(parsed.images), service.settings.max_images_patches, "a request for patches")
    size = len(parsed.images) * embedding_size(asked, model, media)
    take_response_bytes(request, size, service.settings, parsed.size)
    operation = model.operation(Embed)
    operation.admit(request.state.claim, [data for data, _ in parsed.images])

    async def answer() -> Response:
        embeddings = await operation.all(parsed.images, asked.options(), request.state.claim)
        service.telemetry.answered(Embed.name, [embedding.timings for embedding in embeddings])
        pieces = await collect(size, as_pieces(embeddings, asked, model, media))
        return pieces_response(pieces, server_timing([embedding.timings for embedding in embeddings]), media)

    return await answer_in_time(request, service.settings.deadline_seconds, answer())


def embedding_size(asked: EmbedRequest, model: LoadedModel, media: str) -> int:
    """About the bytes of one embedding in a response."""
    manifest = model.manifest
    encoder = manifest.model.encoder
    pooled = manifest.poolings.get(asked.pooling or manifest.default_pooling, 0)
    values = encoder.patches * encoder.width if asked.output == "patches" else pooled
    return int(values * (BYTES_PER_VALUE[asked.encoding_format] if media == JSON else 4))


def as_pieces(embeddings: list[Embedding], asked: EmbedRequest, model: LoadedModel, media: str) -> Iterator[bytes]:
    """The embeddings in the asked form."""
    if media == JSON:
        return json_pieces(as_openai(embeddings, model), "data", as_items(embeddings, asked, model))
    return MEDIA[media]([as_grid(embedding.values, model) for embedding in embeddings])


def check_options(asked: EmbedRequest, model: LoadedModel, media: str) -> None:
    """Options that contradict the model or the form of the response.

    Raises:
        UnsupportedOption
    """
    manifest = model.manifest
    pooling = asked.pooling or manifest.default_pooling
    patches = asked.output == "patches"
    width = manifest.model.encoder.width if patches else manifest.poolings.get(pooling)
    if asked.dimensions is not None and width and asked.dimensions != width:
        source = "output=patches" if patches else f"pooling {pooling}"
        raise UnsupportedOption(f"dimensions is {asked.dimensions}; {source} gives {width}", "dimensions")
    if asked.dtype == "float16" and media == JSON and asked.encoding_format == "float":
        raise UnsupportedOption(
            "float16 cannot be written as JSON floats; use encoding_format base64, or accept application/x-npy", "dtype"
        )


def as_grid(values: np.ndarray, model: LoadedModel) -> np.ndarray:
    """Tokens as rows and columns of patches; a vector as it is."""
    return values.reshape(*model.manifest.grid, -1) if values.ndim == 2 else values


def as_openai(embeddings: list[Embedding], model: LoadedModel) -> dict[str, Any]:
    """OpenAI's list, without its items."""
    patches = len(embeddings) * model.manifest.model.encoder.patches
    usage = {
        "prompt_tokens": patches,
        "total_tokens": patches,
        "image_pixels": sum(embedding.image_pixels for embedding in embeddings),
    }
    return {"object": "list", "model": model.manifest.id, "usage": usage}


def as_items(embeddings: list[Embedding], asked: EmbedRequest, model: LoadedModel) -> Iterator[dict[str, Any]]:
    """The items of OpenAI's list, each made when it is asked for."""
    encode, grid = ENCODINGS[asked.encoding_format], model.manifest.grid
    for index, embedding in enumerate(embeddings):
        item = {"object": "embedding", "index": index, "embedding": encode(embedding.values)}
        if embedding.values.ndim == 2:
            item["shape"] = [*grid, embedding.values.shape[-1]]
        yield item
