"""`/v1/predict`: what the model expects behind hidden regions of a picture, and how far that is from what is there."""

import asyncio
import io
from typing import Any

import numpy as np
import orjson
from fastapi import APIRouter, Request, Response
from PIL import Image, UnidentifiedImageError

from models.errors import RegionError
from models.preprocess import BROKEN
from models.regions import Frame, from_box, from_mask, from_patches
from models.regions import Region as Patches
from service.api.answers import describe, json_answer, timing
from service.api.embeddings import PICTURE_ERRORS
from service.api.intake import from_base64, read_intake, validated
from service.api.presence import while_present
from service.api.state import StateDep
from service.encoding import ENCODINGS
from service.engine import Engine, Prediction
from service.errors import (
    ImageTooLarge,
    InvalidRegion,
    InvalidRequest,
    NotAcceptable,
    ServiceError,
    TooManyImages,
    UnsupportedOption,
)
from service.schemas import PredictBody, PredictionAnswer, PredictRequest, Region

router = APIRouter(tags=["prediction"])

CUT = "lies partly outside the centre crop; only what the model sees of it was used"

MASK_SIDE = 4096
"""Most pixels of a mask's side: far finer than any grid."""

PREDICT_ERRORS = (*(error for error in PICTURE_ERRORS if error is not NotAcceptable), InvalidRegion)


@router.post(
    "/v1/predict",
    response_model=PredictionAnswer,
    summary="Predict hidden regions",
    **describe(PredictBody, *PREDICT_ERRORS, query=None),
)
async def predict(request: Request, state: StateDep) -> Response:
    """Each target is hidden, predicted on its own from the context, and compared with what is there."""
    state.refuse_unready()
    intake = await read_intake(request, state.settings, "image")
    if len(intake.pictures) != 1:
        raise TooManyImages(f"a prediction is of one picture, this request has {len(intake.pictures)}")
    raw = parsed_regions(intake.options)
    refuse_too_many_targets(raw.get("targets"), state.settings.max_targets)
    options = await asyncio.to_thread(validated, PredictRequest, raw)
    if options.dtype != "float32" and options.encoding_format == "float":
        raise UnsupportedOption("float16 cannot be written as JSON floats; use encoding_format base64", "dtype")
    engine = state.engine(options.model)
    data, param = intake.pictures[0]

    def read_regions(frame: Frame) -> tuple[list[Patches], Patches | None]:
        targets = [to_patches(region, frame, f"targets[{i}]") for i, region in enumerate(options.targets)]
        return targets, to_patches(options.context, frame, "context") if options.context else None

    prediction = await while_present(request, engine.predict(data, read_regions, options.fit, param))
    state.telemetry.pictures("predict", [prediction.clocks])
    answer = await asyncio.to_thread(as_answer, prediction, options, engine)
    return await asyncio.to_thread(json_answer, answer, 200, timing([prediction.clocks]))


def parsed_regions(options: dict[str, Any]) -> dict[str, Any]:
    """`targets` and `context` as JSON, and `return` as names, where they came as text in the query."""
    parsed = dict(options)
    for name in ("targets", "context"):
        if isinstance(parsed.get(name), str):
            try:
                parsed[name] = orjson.loads(parsed[name])
            except orjson.JSONDecodeError as error:
                raise InvalidRequest(f"{name} in the query is no JSON: {error}", name) from error
    if isinstance(parsed.get("return"), str):
        parsed["return"] = [part.strip(' "') for part in parsed["return"].strip("[]").split(",")]
    return parsed


def refuse_too_many_targets(targets: object, limit: int) -> None:
    """Before anything looks at them one by one."""
    if isinstance(targets, list) and len(targets) > limit:
        raise InvalidRequest(f"there may be {limit} targets, this has {len(targets):,}", "targets")


def to_patches(region: Region, frame: Frame, param: str) -> Patches:
    """A region of the request on the model's grid.

    Raises:
        InvalidRegion, InvalidRequest: as `models.regions` has it, with the place in the request.
    """
    try:
        if region.box is not None:
            return from_box(region.box, frame)
        if region.patches is not None:
            return from_patches(region.patches, frame)
        return from_mask(read_mask(region.mask, param), frame)
    except RegionError as error:
        kind: type[ServiceError] = InvalidRequest if error.reason == "malformed" else InvalidRegion
        raise kind(f"{param}: {error}", param) from error


def read_mask(text: str | None, param: str) -> np.ndarray:
    """A PNG in base64 as booleans: any channel but alpha that is not zero is in."""
    data = from_base64(text, f"{param}.mask")
    try:
        image: Image.Image = Image.open(io.BytesIO(data), formats=("PNG",))
        if max(image.size) > MASK_SIDE:
            raise ImageTooLarge(
                f"a mask's side may have {MASK_SIDE:,} pixels, this has {image.width:,} x {image.height:,}",
                f"{param}.mask",
            )
        if image.mode in ("P", "PA", "LA", "RGBA"):
            image = image.convert("RGB")
        pixels = np.asarray(image)
    except UnidentifiedImageError as error:
        raise InvalidRequest(f"{param}.mask is no PNG", f"{param}.mask") from error
    except BROKEN as error:
        raise InvalidRequest(f"{param}.mask is a broken PNG: {error}", f"{param}.mask") from error
    return (pixels if pixels.ndim == 2 else pixels.max(axis=2)) != 0


def as_answer(prediction: Prediction, options: PredictRequest, engine: Engine) -> dict[str, Any]:
    """The contract's shape."""
    encode = ENCODINGS[options.encoding_format]
    targets, warnings = [], []
    for i, target in enumerate(prediction.targets):
        item: dict[str, Any] = {
            "patches": target.patches,
            "box": list(map(float, target.box)),
            "energy": float(target.energy_per_patch.mean()),
            "energy_per_patch": target.energy_per_patch,
            "cosine": target.cosine,
        }
        for name in options.returns:
            item[name] = encode(getattr(target, name).astype(options.dtype))
        targets.append(item)
        if target.cut:
            warnings.append({"code": "region_cut", "message": f"targets[{i}] {CUT}", "target": i})
    if prediction.context_cut:
        warnings.append({"code": "region_cut", "message": f"the context {CUT}", "target": None})
    return {
        "object": "prediction",
        "model": engine.manifest.id,
        "grid": list(engine.manifest.grid),
        "context_patches": prediction.context_patches,
        "targets": targets,
        "warnings": warnings,
    }
