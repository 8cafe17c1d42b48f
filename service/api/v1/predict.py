"""`/v1/predict`: what the model expects behind hidden regions of an image, and how far that is from what is there."""

from typing import Any

import orjson
from fastapi import APIRouter, Request, Response

from models.images.grid import RegionSpec
from models.inference.regions import cut_warning
from service.api.dependencies import service_of
from service.api.disconnect import cancel_on_disconnect
from service.api.negotiation import ENCODINGS
from service.api.offload import offload
from service.api.openapi import document_route
from service.api.options import validate_options
from service.api.parsing import from_base64, parse_request
from service.api.responses import json_response, server_timing
from service.api.v1.embeddings import IMAGE_ERRORS
from service.errors import InvalidRegion, InvalidRequest, NotAcceptable, TooManyImages, UnsupportedOption
from service.operations.predict import Predict, PredictedImage, PredictOptions
from service.registry import LoadedModel
from service.schemas import PredictBody, PredictionResponse, PredictRequest, RegionBody

router = APIRouter(tags=["prediction"])

PREDICT_ERRORS = (*(error for error in IMAGE_ERRORS if error is not NotAcceptable), InvalidRegion)


@router.post(
    "/v1/predict",
    response_model=PredictionResponse,
    summary="Predict hidden regions",
    **document_route(PredictBody, *PREDICT_ERRORS, query=PredictRequest),
)
async def predict(request: Request) -> Response:
    """Each target is hidden, predicted on its own from the context, and compared with what is there."""
    service = await service_of(request)
    service.registry.check_ready()
    parsed = await parse_request(request, service.settings, "image")
    if len(parsed.images) != 1:
        raise TooManyImages(f"a prediction is of one image, this request has {len(parsed.images)}")
    raw = parse_query_regions(parsed.options)
    check_target_count(raw.get("targets"), service.settings.max_targets)
    asked, options = await offload(parsed.size, validate_regions, raw)
    model = service.registry.select(asked.model)
    data, param = parsed.images[0]
    operation = model.operation(Predict)
    operation.admit()
    predicted = await cancel_on_disconnect(request, operation(data, options, param))
    service.telemetry.answered(Predict.name, [predicted.timings])
    return await offload(response_size(predicted, asked), as_response, predicted, asked, model)


def validate_regions(raw: dict[str, Any]) -> tuple[PredictRequest, PredictOptions]:
    """The options, and the regions among them.

    Raises:
        InvalidRequest, UnsupportedOption
    """
    asked = validate_options(PredictRequest, raw)
    if asked.dtype != "float32" and asked.encoding_format == "float":
        raise UnsupportedOption("float16 cannot be written as JSON floats; use encoding_format base64", "dtype")
    return asked, as_options(asked)


def parse_query_regions(options: dict[str, Any]) -> dict[str, Any]:
    """`targets` and `context` from JSON, and `return` as names, where they came as text in the query."""
    parsed = dict(options)
    for name in ("targets", "context"):
        if isinstance(parsed.get(name), str):
            try:
                parsed[name] = orjson.loads(parsed[name])
            except orjson.JSONDecodeError as error:
                raise InvalidRequest(f"{name} is text that is not JSON: {error}", name) from error
    if isinstance(parsed.get("return"), str):
        parsed["return"] = [part.strip(' "') for part in parsed["return"].strip("[]").split(",")]
    return parsed


def check_target_count(targets: object, limit: int) -> None:
    """Before anything looks at them one by one.

    Raises:
        InvalidRequest
    """
    if isinstance(targets, list) and len(targets) > limit:
        raise InvalidRequest(f"there may be {limit} targets, this has {len(targets):,}", "targets")


def as_options(asked: PredictRequest) -> PredictOptions:
    """The request's regions, without what is particular to HTTP.

    Raises:
        InvalidRequest: a mask that is not base64.
    """
    targets = [_spec(region, f"targets[{i}]") for i, region in enumerate(asked.targets)]
    return PredictOptions(targets, None if asked.context is None else _spec(asked.context, "context"), asked.fit)


def _spec(region: RegionBody, param: str) -> RegionSpec:
    return region.spec(None if region.mask is None else from_base64(region.mask, f"{param}.mask", "a PNG"))


def response_size(predicted: PredictedImage, asked: PredictRequest) -> int:
    """About the bytes of the arrays in a response."""
    names = ("patches", "energy_per_patch", "energy_per_patch", *asked.returns)
    return sum(getattr(target.prediction, name).nbytes for target in predicted.targets for name in names)


def as_response(predicted: PredictedImage, asked: PredictRequest, model: LoadedModel) -> Response:
    """The contract's shape."""
    encode = ENCODINGS[asked.encoding_format]
    targets, warnings = [], []
    for i, (prediction, box, cut) in enumerate(predicted.targets):
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
        targets.append(item)
        if cut:
            warnings.append({"code": "region_cut", "message": cut_warning(f"targets[{i}]"), "target": i})
    if predicted.context_cut:
        warnings.append({"code": "region_cut", "message": cut_warning("the context"), "target": None})
    content = {
        "object": "prediction",
        "model": model.manifest.id,
        "grid": list(model.manifest.grid),
        "context_patches": predicted.context_patches,
        "targets": targets,
        "warnings": warnings,
    }
    return json_response(content, 200, server_timing([predicted.timings]))
