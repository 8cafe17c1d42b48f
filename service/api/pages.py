"""Pages for people: `/` says what this is, `/docs` describes the API. Everything on them comes from this server."""

import html
from importlib.resources import files
from pathlib import Path
from string import Template

from fastapi import APIRouter, Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse

from service.api.dependencies import ServiceDep
from service.registry import LoadedModel
from service.security import page_policy

router = APIRouter(include_in_schema=False)

WEB = Path(__file__).parent.parent / "web"
SWAGGER = Path(str(files("fastapi_offline"))) / "static"
"""Swagger UI's files, as the package fastapi-offline ships them."""
MAX_HOST_LENGTH = 200


@router.get("/")
async def home(request: Request, service: ServiceDep) -> HTMLResponse:
    """What this server is, what its models were trained on, what to send it."""
    models = list(service.registry.models.values())
    cards = "\n".join(card(model) for model in models)
    here = html.escape(request.headers.get("host", "localhost")[:MAX_HOST_LENGTH])
    model = html.escape(models[0].manifest.id)
    query, field = (f"?model={model}", f'"model":"{model}",') if len(models) > 1 else ("", "")
    page = Template((WEB / "index.html").read_text()).substitute(models=cards, here=here, query=query, field=field)
    return HTMLResponse(page, headers={"content-security-policy": page_policy()})


@router.get("/docs")
async def docs(request: Request) -> HTMLResponse:
    """Swagger UI over `/openapi.json`."""
    page = get_swagger_ui_html(
        openapi_url=str(request.app.openapi_url),
        title="I-JEPA Features",
        swagger_js_url="/docs/assets/swagger-ui-bundle.js",
        swagger_css_url="/docs/assets/swagger-ui.css",
        swagger_favicon_url="/docs/assets/favicon.png",
    )
    page.headers["content-security-policy"] = page_policy(bytes(page.body).decode())
    return page


def card(model: LoadedModel) -> str:
    """One model as a table row group."""
    manifest, encoder = model.manifest, model.manifest.model.encoder
    rows = {
        "Trained on": manifest.source.trained_on,
        "Licence": manifest.licence,
        "Image": f"{encoder.image_size[1]} x {encoder.image_size[0]} pixels, {encoder.grid[0]} x {encoder.grid[1]} patches",
        "Embedding": ", ".join(f"{name}: {width} dimensions" for name, width in manifest.poolings.items()),
        "Predicts masked regions": "yes" if manifest.predicts else "no, its source had no predictor",
        "Runs on": f"{model.runtime.name}, {model.images_per_second:,.0f} images a second in full batches",
        "Identity": f"sha256 {model.bundle.sha256}",
    }
    cells = "\n".join(
        f"<tr><th>{html.escape(name)}</th><td>{html.escape(value)}</td></tr>" for name, value in rows.items()
    )
    link = f'<a href="/v1/models/{html.escape(manifest.id)}">{html.escape(manifest.id)}</a>'
    return f"<table><caption>{link}</caption>\n{cells}\n</table>"
