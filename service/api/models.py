"""`/v1/models`: what is loaded, where it comes from, what it takes and gives."""

from typing import Any

from fastapi import APIRouter, Response

from service.api.answers import describe, json_answer
from service.api.state import StateDep
from service.engine import Engine
from service.errors import ModelNotFound
from service.settings import Settings

router = APIRouter(tags=["models"])


@router.get("/v1/models", summary="List the loaded models")
async def list_models(state: StateDep) -> Response:
    """OpenAI's list."""
    return json_answer({"object": "list", "data": [as_card(engine) for engine in state.engines.values()]})


@router.get("/v1/models/{model_id}", summary="Describe a model", **describe(None, ModelNotFound))
async def show_model(model_id: str, state: StateDep) -> Response:
    """Everything that the bundle says of itself, and how it runs here."""
    engine = state.known(model_id)
    return json_answer(as_card(engine) | as_description(engine, state.settings))


def as_card(engine: Engine) -> dict[str, Any]:
    """OpenAI's four fields."""
    return {"id": engine.manifest.id, "object": "model", "created": 0, "owned_by": "ijepa-features"}


def as_description(engine: Engine, settings: Settings) -> dict[str, Any]:
    """Ours."""
    manifest = engine.manifest
    encoder = manifest.model.encoder
    return {
        "sha256": engine.bundle.sha256,
        "licence": manifest.licence,
        "trained_on": manifest.source.trained_on,
        "provenance": manifest.source.model_dump(),
        "another_model": "ijepa serve --bundle NAME|DIR (docs/training.md: train, export, serve your own)",
        "dimensions": encoder.width,
        "poolings": manifest.poolings,
        "whitening": manifest.whitening.model_dump() if manifest.whitening else None,
        "grid": encoder.grid,
        "patch_size": encoder.patch_size,
        "architecture": encoder.model_dump(),
        "predictor": manifest.model.predictor.model_dump() if manifest.model.predictor and manifest.predicts else None,
        "preprocessing": manifest.model.pixels.model_dump(),
        "masking": manifest.masking,
        "distance": manifest.distance.model_dump(),
        "parity": {name: parity.model_dump() for name, parity in manifest.parity.items()},
        "probes": manifest.probes,
        "calibration": manifest.calibration.model_dump() if manifest.calibration else None,
        "stored_weights": manifest.stored_weights,
        "precision": engine.runtime.precision,
        "variants": {name: variant.model_dump() for name, variant in manifest.variants.items()},
        "runtime": engine.runtime.name,
        "images_per_second": round(engine.images_per_second, 1),
        "limits": {
            "image_bytes": settings.max_image_bytes,
            "body_bytes": settings.max_body_bytes,
            "images": settings.max_images,
            "images_with_patches": settings.max_images_patches,
            "pixels": settings.max_pixels,
            "targets": settings.max_targets,
        },
    }
