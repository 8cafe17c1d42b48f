"""`/openapi.json` says what the routes take."""

import jsonschema
import pytest


def operation(client, path, method="post"):
    return client.app.openapi()["paths"][path][method]


def body(client, path, media):
    return operation(client, path)["requestBody"]["content"][media]["schema"]


@pytest.mark.parametrize(
    ("path", "most"), [("/v1/embeddings", None), ("/v1/images/embeddings", None), ("/v1/predict", 1)]
)
def test_a_form_has_at_least_one_file_and_its_options_are_those_of_the_body(client, path, most):
    form = body(client, path, "multipart/form-data")
    assert form["properties"]["file"]["minItems"] == 1
    assert form["properties"]["file"].get("maxItems") == most
    options = body(client, path, "application/json")["properties"]
    image = "image" if path == "/v1/predict" else "input"
    assert form["properties"]["request"]["properties"] == {name: options[name] for name in options if name != image}
    assert form["required"] == ["file"]


def test_a_query_has_what_a_query_can_say(client):
    parameters = {each["name"]: each for each in operation(client, "/v1/predict")["parameters"]}
    assert set(parameters) == {"model", "fit", "dtype", "encoding_format", "targets", "context", "return"}
    for name in ("targets", "context"):
        schema = parameters[name]["content"]["application/json"]["schema"]
        region = {"patches": [1]}
        jsonschema.validate([region] if name == "targets" else region, schema)
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate([{"circle": 1}] if name == "targets" else {"circle": 1}, schema)
    assert parameters["return"]["schema"]["items"]["enum"] == ["predicted", "actual"]
    assert parameters["fit"]["schema"]["enum"] == ["crop", "squash"]
    for name in ("model", "fit", "context"):
        place = parameters[name].get("schema") or parameters[name]["content"]["application/json"]["schema"]
        assert "anyOf" not in place


def test_a_mask_is_base64_of_a_png(client):
    region = body(client, "/v1/predict", "application/json")["properties"]["targets"]["items"]
    mask = next(choice for choice in region["properties"]["mask"]["anyOf"] if choice["type"] != "null")
    assert mask == {"type": "string", "contentEncoding": "base64", "contentMediaType": "image/png"}


def test_metrics_are_text(client):
    content = operation(client, "/metrics", "get")["responses"]["200"]["content"]
    assert list(content) == ["text/plain"]
