"""`/v1/models`: what is loaded, where it comes from, what it takes and gives."""

from typing import Any

from fastapi import APIRouter, Response

from service.api.dependencies import ServiceDep
from service.api.openapi import document_route
from service.api.options import MAX_ECHO
from service.api.responses import json_response
from service.errors import Forbidden, ModelNotFound
from service.registry import LoadedModel
from service.schemas import ModelDescription, ModelList
from service.settings import Settings

router = APIRouter(tags=["models"])


@router.get("/v1/models", response_model=ModelList, summary="List the loaded models")
async def list_models(service: ServiceDep) -> Response:
    """OpenAI's list."""
    return json_response({"object": "list", "data": [as_item(model) for model in service.registry.models.values()]})


@router.get(
    "/v1/models/{model_id}",
    response_model=ModelDescription,
    summary="Describe a model",
    **document_route(None, Forbidden, ModelNotFound),
)
async def show_model(model_id: str, service: ServiceDep) -> Response:
    """Everything that the bundle says of itself, and how it runs here."""
    if len(model_id) > MAX_ECHO:
        raise ModelNotFound(
            f"no model has an id of {len(model_id):,} characters; /v1/models lists those there are", "model"
        )
    model = service.registry.known(model_id)
    return json_response(as_item(model) | as_description(model, service.settings))


def as_item(model: LoadedModel) -> dict[str, Any]:
    """OpenAI's four fields."""
    return {"id": model.manifest.id, "object": "model", "created": 0, "owned_by": "ijepa-features"}


def as_description(model: LoadedModel, settings: Settings) -> dict[str, Any]:
    """The manifest's fields, those of the runtime, and the server's limits."""
    manifest = model.manifest
    encoder = manifest.model.encoder
    return {
        "sha256": model.bundle.sha256,
        "licence": manifest.licence,
        "trained_on": manifest.source.trained_on,
        "provenance": manifest.source.model_dump(),
        "another_model": "ijepa serve --bundle NAME|DIR (docs/train.md: train, export, serve your own)",
        "state": model.state.value,
        "dimensions": encoder.width,
        "poolings": manifest.poolings,
        "default_pooling": manifest.default_pooling,
        "whitening": manifest.whitening.model_dump() if manifest.whitening else None,
        "grid": encoder.grid,
        "patch_size": encoder.patch_size,
        "architecture": encoder.model_dump(),
        "predictor": manifest.model.predictor.model_dump() if manifest.model.predictor and manifest.predicts else None,
        "operations": model.operations,
        "preprocessing": manifest.model.pixels.model_dump(),
        "scaled_decoding": manifest.scaled_decoding.model_dump() if manifest.scaled_decoding else None,
        "masking": manifest.masking.model_dump(),
        "distance": manifest.distance.model_dump(),
        "parity": {name: parity.model_dump() for name, parity in manifest.parity.items()},
        "probes": manifest.probes.model_dump() if manifest.probes else {},
        "calibration": manifest.calibration.model_dump() if manifest.calibration else None,
        "stored_weights": manifest.stored_weights,
        "precision": model.runtime.precision,
        "variants": {name: variant.model_dump() for name, variant in manifest.variants.items()},
        "runtime": model.runtime.name,
        "batch_size": model.runtime.batch_size,
        "accuracy": _accuracy(model),
        "ways": [way.model_dump() for way in (model.choice.chosen, *model.choice.others)],
        "images_per_second": round(model.images_per_second, 1),
        "limits": {
            "image_bytes": settings.max_image_bytes,
            "body_bytes": settings.max_body_bytes,
            "images": settings.max_images,
            "images_with_patches": settings.max_images_patches,
            "pixels": settings.max_pixels,
            "targets": settings.max_targets,
        },
    }


def _accuracy(model: LoadedModel) -> dict[str, Any]:
    """How far the answers are from float32: a mean-centred cosine, and on which images it was measured."""
    way = model.choice.chosen
    cosine = 1.0 if way.precision == "float32" else way.cosine
    return {"cosine": cosine, "measured_on": way.measured_on, "accuracy_floor": model.manifest.accuracy_floor}
