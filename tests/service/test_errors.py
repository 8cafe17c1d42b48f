"""Errors of the app itself: paths that are none of its routes."""


def test_a_path_with_a_slash_more_is_not_redirected(client):
    for path in ("/v1/models/", "/health/", "/docs/"):
        assert client.get(path, follow_redirects=False).status_code == 404


def test_of_a_long_path_the_answer_has_200_characters(client):
    answer = client.get("/" + "x" * 5000)
    assert answer.status_code == 404
    assert len(answer.text) < 500


def test_errors_below_v2_have_the_shape_of_that_protocol(client):
    for path in ("/v2", "/v2/models/golden/infer"):
        answer = client.get(path)
        assert answer.status_code == 404
        assert set(answer.json()) == {"error"}
        assert answer.json()["error"].startswith("there is nothing at /v2")
        assert answer.headers["x-request-id"]
    assert client.get("/v22").json()["error"]["code"] == "not_found"
