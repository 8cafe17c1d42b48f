"""Options are checked by their names before their values, and what a client sent is never written out at length."""

import time

import pytest

from service.api.options import validate_options
from service.errors import InvalidRequest, ServiceError, UnsupportedOption
from service.schemas import EmbedRequest, PredictRequest


def problem(schema, options):
    with pytest.raises(ServiceError) as caught:
        validate_options(schema, options)
    assert len(caught.value.message) < 500
    assert len(caught.value.param or "") <= 200
    return caught.value


def test_unknown_names_are_told_by_the_first():
    error = problem(EmbedRequest, {f"option{i}": i for i in range(100_000)})
    assert isinstance(error, UnsupportedOption)
    assert error.message.startswith("option 'option0' is unknown; the options are model, fit, ")


@pytest.mark.parametrize(
    ("schema", "options"),
    [
        (EmbedRequest, {"x" * 100_000: 1}),
        (EmbedRequest, {"model": "x" * 201}),
        (EmbedRequest, {"pooling": "x" * 100_000}),
        (EmbedRequest, {"model": memoryview(b"x" * 100_000)}),
        (EmbedRequest, {"user": "x" * 513}),
        (EmbedRequest, {"fit": "x" * 100_000}),
        (EmbedRequest, {"fit": ["x" * 100] * 1000}),
        (EmbedRequest, {"normalize": [[1] * 1000] * 1000}),
        (EmbedRequest, {"dimensions": 10**300}),
        (EmbedRequest, {"dimensions": "9" * 4000}),
        (PredictRequest, {"targets": [{"patches": ["a"] * 100_000}]}),
        (PredictRequest, {"targets": [{"patches": list(range(16_385))}]}),
        (PredictRequest, {"targets": [{"box": ["a"] * 100_000}]}),
        (PredictRequest, {"targets": [{"box": memoryview(b"x" * 1000)}]}),
        (PredictRequest, {"targets": ["a"] * 10_000}),
        (PredictRequest, {"targets": [{"patches": [1]}], "return": ["predicted"] * 100_000}),
        (PredictRequest, {"targets": [{"patches": [1]}], "return": ["predicted", "predicted"]}),
        (PredictRequest, {"targets": [{"patches": [1]}], "return": ["x" * 1000] * 100_000}),
    ],
    ids=range(18),
)
def test_values_beyond_a_bound_are_told_shortly_and_soon(schema, options):
    start = time.monotonic()
    assert isinstance(problem(schema, options), InvalidRequest)
    assert time.monotonic() - start < 0.5
