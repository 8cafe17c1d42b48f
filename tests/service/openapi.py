"""A test client that holds every response against the app's own OpenAPI document."""

import re

import jsonschema
from fastapi.testclient import TestClient

NOT_DESCRIBED = ("/", "/docs", "/openapi.json", "/docs/assets")
"""Pages for people, and the document itself."""


class ValidatingClient(TestClient):
    """Fails where a response's status, media type or body is not what `/openapi.json` says of the route."""

    def request(self, method, url, **options):
        response = super().request(method, url, **options)
        check_response(self.app.openapi(), method, response)  # type: ignore[attr-defined]
        return response


def check_response(document, method, response):
    path = response.request.url.path
    operation = find_operation(document, method, path)
    if operation is None:
        assert path in NOT_DESCRIBED or path.startswith("/docs/") or response.status_code in (404, 405), path
        return
    described = operation["responses"].get(str(response.status_code))
    assert described, f"{method} {path} answered {response.status_code}, which is not described: {response.text[:500]}"
    media = response.headers["content-type"].partition(";")[0]
    assert media in described["content"], (path, media, list(described["content"]))
    if media == "application/json" and method != "HEAD":
        schema = {**described["content"][media]["schema"], "components": document["components"]}
        jsonschema.validate(response.json(), schema)


def find_operation(document, method, path):
    """The described operation that a path matches, exact paths before those with parameters."""
    for template in sorted(document["paths"], key=lambda each: "{" in each):
        if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path):
            return document["paths"][template].get("get" if method == "HEAD" else method.lower())
    return None
