"""`/v1/embeddings`, OpenAI's, and `/v1/images/embeddings`, made for raw bytes. They differ in where JSON has its pictures."""

import asyncio
from typing import Any

import numpy as np
from fastapi import APIRouter, Request, Response

from service.api.answers import describe, json_answer, timing
from service.api.intake import Picture, read_intake, refuse_too_many, validated
from service.api.presence import while_present
from service.api.state import StateDep
from service.encoding import ENCODINGS, JSON, MEDIA, choose_media
from service.engine import Embedding, EmbedOptions, Engine
from service.errors import (
    BodyTooLarge,
    DeadlineExceeded,
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
from service.schemas import EmbeddingsAnswer, EmbeddingsBody, EmbedRequest

router = APIRouter(tags=["embeddings"])

PICTURE_ERRORS = (
    InvalidRequest, UnsupportedOption, ModelNotFound, NotAcceptable, RequestTimeout, BodyTooLarge, TooManyImages,
    ImageTooLarge, UnsupportedMediaType, InvalidImage, Overloaded, Internal, NotReady, DeadlineExceeded,
)  # fmt: skip


@router.post(
    "/v1/embeddings",
    response_model=EmbeddingsAnswer,
    summary="Embed pictures, as OpenAI's clients ask",
    **describe(EmbeddingsBody, *PICTURE_ERRORS, query=EmbedRequest),
)
@router.post(
    "/v1/images/embeddings",
    response_model=EmbeddingsAnswer,
    summary="Embed pictures sent as files or raw bytes",
    operation_id="embed_images",
    **describe(EmbeddingsBody, *PICTURE_ERRORS, query=EmbedRequest),
)
async def embed(request: Request, state: StateDep) -> Response:
    """Each picture as one vector (`output=pooled`), or as one vector a patch (`output=patches`)."""
    media = choose_media(request.headers.get("accept"))
    state.refuse_unready()
    intake = await read_intake(request, state.settings, "input")
    options = validated(EmbedRequest, intake.options)
    engine = state.engine(options.model)
    check_options(options, engine, media)
    if options.output == "patches":
        refuse_too_many(len(intake.pictures), state.settings.max_images_patches, "a request for patches")
    embeddings = await while_present(request, embed_all(engine, intake.pictures, options))
    state.telemetry.pictures("embed", [e.clocks for e in embeddings])
    headers = timing([e.clocks for e in embeddings])
    if media != JSON:
        arrays = [as_grid(e.values, engine) for e in embeddings]
        return Response(await asyncio.to_thread(MEDIA[media], arrays), headers=headers, media_type=media)
    answer = await asyncio.to_thread(as_openai, embeddings, options, engine)
    return await asyncio.to_thread(json_answer, answer, 200, headers)


async def embed_all(engine: Engine, pictures: list[Picture], options: EmbedRequest) -> list[Embedding]:
    """All pictures, each on its own way; the first that fails stops the rest."""
    wanted = EmbedOptions(options.output, options.pooling, options.normalize, options.dtype, options.fit)
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(engine.embed(data, wanted, param)) for data, param in pictures]
    except ExceptionGroup as together:
        raise together.exceptions[0] from together
    return [task.result() for task in tasks]


def check_options(options: EmbedRequest, engine: Engine, media: str) -> None:
    """Options that contradict the model or the form of the answer.

    Raises:
        UnsupportedOption
    """
    width = engine.manifest.poolings.get(options.pooling)
    if options.dimensions is not None and options.output == "pooled" and width and options.dimensions != width:
        raise UnsupportedOption(
            f"dimensions is {options.dimensions}; pooling {options.pooling} gives {width}", "dimensions"
        )
    if options.dtype == "float16" and media == JSON and options.encoding_format == "float":
        raise UnsupportedOption(
            "float16 cannot be written as JSON floats; use encoding_format base64, or accept application/x-npy", "dtype"
        )


def as_grid(values: np.ndarray, engine: Engine) -> np.ndarray:
    """Tokens as rows and columns of patches; a vector as it is."""
    return values.reshape(*engine.manifest.grid, -1) if values.ndim == 2 else values


def as_openai(embeddings: list[Embedding], options: EmbedRequest, engine: Engine) -> dict[str, Any]:
    """OpenAI's list."""
    encode, grid = ENCODINGS[options.encoding_format], engine.manifest.grid
    patches = len(embeddings) * engine.manifest.model.encoder.patches
    items = []
    for index, embedding in enumerate(embeddings):
        item = {"object": "embedding", "index": index, "embedding": encode(embedding.values)}
        if embedding.values.ndim == 2:
            item["shape"] = [*grid, embedding.values.shape[-1]]
        items.append(item)
    usage = {
        "prompt_tokens": patches,
        "total_tokens": patches,
        "image_pixels": sum(embedding.picture_pixels for embedding in embeddings),
    }
    return {"object": "list", "model": engine.manifest.id, "data": items, "usage": usage}
