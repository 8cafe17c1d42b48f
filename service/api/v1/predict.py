"""`/v1/predict`: what the model expects behind hidden regions of an image, and how far that is from what is there."""

from collections.abc import Iterator
from typing import Any

from fastapi import APIRouter, Request, Response

from models.errors import ImageError
from models.images.grid import mask_size
from models.inference.regions import cut_warning
from service.api.base64_text import from_base64
from service.api.body import declared_size, take_response_bytes
from service.api.dependencies import service_of
from service.api.disconnect import answer_in_time
from service.api.json_text import read_json
from service.api.negotiation import BYTES_PER_VALUE, ENCODINGS, JSON
from service.api.offload import collect, offload
from service.api.openapi import document_route
from service.api.options import check_names, option_names, validate_options
from service.api.parsing import parse_request
from service.api.responses import json_pieces, pieces_response, server_timing
from service.api.v1.embeddings import IMAGE_ERRORS
from service.errors import (
    ImageTooLarge,
    InvalidRegion,
    InvalidRequest,
    NotAcceptable,
    TooManyImages,
    UnsupportedOption,
)
from service.operations.predict import Predict, PredictedImage, PredictOptions
from service.registry import LoadedModel
from service.schemas import PredictBody, PredictionResponse, PredictRequest, RegionBody
from service.settings import Settings

router = APIRouter(tags=["prediction"])

PREDICT_ERRORS = (*(error for error in IMAGE_ERRORS if error is not NotAcceptable), InvalidRegion)


@router.post(
    "/v1/predict",
    response_model=PredictionResponse,
    summary="Predict hidden regions",
    **document_route(PredictBody, *PREDICT_ERRORS, query=PredictRequest, max_files=1),
)
async def predict(request: Request) -> Response:
    """Each target is hidden, predicted on its own from the context, and compared with what is there."""
    service = await service_of(request)
    service.registry.check_ready()
    request.state.claim.check(declared_size(request))
    settings = service.settings
    parsed = await parse_request(request, settings, "image")
    if len(parsed.images) != 1:
        raise TooManyImages(f"a prediction is of one image, this request has {len(parsed.images)}")
    asked = await offload(parsed.options_size, validate_regions, parse_query_regions(parsed.options), settings)
    model = service.registry.select(asked.model)
    data, param = parsed.images[0]
    operation = model.operation(Predict)
    operation.admit(request.state.claim, [data])

    async def answer() -> Response:
        predicted = await operation(data, as_options(asked), request.state.claim, param)
        service.telemetry.answered(Predict.name, [predicted.timings])
        size = response_size(predicted, asked)
        take_response_bytes(request, size, settings, parsed.size)
        pieces = await collect(size, as_pieces(predicted, asked, model))
        return pieces_response(pieces, server_timing([predicted.timings]), JSON)

    return await answer_in_time(request, settings.deadline_seconds, answer())


def parse_query_regions(options: dict[str, Any]) -> dict[str, Any]:
    """`targets` and `context` from JSON, and `return` as names, where they came as text in the query."""
    parsed = dict(options)
    for name in ("targets", "context"):
        if isinstance(parsed.get(name), str):
            parsed[name] = read_json(parsed[name].encode(), name)
    if isinstance(parsed.get("return"), str):
        parsed["return"] = [part.strip(' "') for part in parsed["return"].strip("[]").split(",")]
    return parsed


def validate_regions(raw: dict[str, Any], settings: Settings) -> PredictRequest:
    """The options, and the regions among them: their count and fields before any is looked into, then their masks.

    Raises:
        InvalidRequest, UnsupportedOption, ImageTooLarge
    """
    check_names(raw, option_names(PredictRequest))
    targets = raw.get("targets")
    check_target_count(targets, settings.max_targets)
    named = [(f"targets[{i}]", region) for i, region in enumerate(targets if isinstance(targets, list) else ())]
    pixels = 0
    for name, region in [*named, ("context", raw.get("context"))]:
        if not isinstance(region, dict):
            continue  # the schema says what is wrong with it
        mask = region.pop("mask", None)
        check_names(region, option_names(RegionBody), name)
        if mask is not None:
            region["mask"] = from_base64(mask, f"{name}.mask", settings.max_image_bytes, "a PNG")
            pixels += mask_pixels(region["mask"], f"{name}.mask")
            if pixels > settings.max_mask_pixels:
                raise ImageTooLarge(
                    f"the masks of a request may have {settings.max_mask_pixels:,} pixels, "
                    f"up to this one they have {pixels:,}",
                    f"{name}.mask",
                )
    asked = validate_options(PredictRequest, raw)
    if asked.dtype != "float32" and asked.encoding_format == "float":
        raise UnsupportedOption("float16 cannot be written as JSON floats; use encoding_format base64", "dtype")
    return asked


def check_target_count(targets: object, limit: int) -> None:
    """Before anything looks at them one by one.

    Raises:
        InvalidRequest
    """
    if isinstance(targets, list) and len(targets) > limit:
        raise InvalidRequest(f"there may be {limit} targets, this has {len(targets):,}", "targets")


def mask_pixels(mask: bytes, param: str) -> int:
    """Pixels of a mask as its header says.

    Raises:
        InvalidRequest: its header cannot be read.
    """
    try:
        width, height = mask_size(mask)
    except ImageError as error:
        raise InvalidRequest(f"{param}: {error}", param) from error
    return width * height


def as_options(asked: PredictRequest) -> PredictOptions:
    """The request's regions, without what is particular to HTTP."""
    targets = [region.spec() for region in asked.targets]
    return PredictOptions(targets, None if asked.context is None else asked.context.spec(), asked.fit)


def response_size(predicted: PredictedImage, asked: PredictRequest) -> int:
    """About the bytes of a response."""
    patches = sum(target.prediction.patches.size for target in predicted.targets)
    tokens = sum(getattr(target.prediction, name).size for target in predicted.targets for name in asked.returns)
    return int(3 * patches * BYTES_PER_VALUE["float"] + tokens * BYTES_PER_VALUE[asked.encoding_format])


def as_pieces(predicted: PredictedImage, asked: PredictRequest, model: LoadedModel) -> Iterator[bytes]:
    """The contract's shape."""
    warnings = [
        {"code": "region_cut", "message": cut_warning(f"targets[{i}]"), "target": i}
        for i, target in enumerate(predicted.targets)
        if target.cut
    ]
    if predicted.context_cut:
        warnings.append({"code": "region_cut", "message": cut_warning("the context"), "target": None})
    content = {
        "object": "prediction",
        "model": model.manifest.id,
        "grid": list(model.manifest.grid),
        "context_patches": predicted.context_patches,
        "warnings": warnings,
    }
    return json_pieces(content, "targets", as_items(predicted, asked))


def as_items(predicted: PredictedImage, asked: PredictRequest) -> Iterator[dict[str, Any]]:
    """The targets of a response, each made when it is asked for."""
    encode = ENCODINGS[asked.encoding_format]
    for prediction, box, _ in predicted.targets:
        item: dict[str, Any] = {
            "patches": prediction.patches,
            "box": list(map(float, box)),
            "energy": prediction.energy,
            "energy_per_patch": prediction.energy_per_patch,
            "z": prediction.z,
            "z_per_patch": prediction.z_per_patch,
            "cosine": prediction.cosine,
        }
        for name in asked.returns:
            item[name] = encode(getattr(prediction, name).astype(asked.dtype))
        yield item
