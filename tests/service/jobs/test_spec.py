import pytest
from pydantic import ValidationError

from models.errors import ConfigError
from service.jobs.spec import JobSpec, differences, spec_from_json


@pytest.fixture
def spec(bundle):
    from models.runtimes.select import open_runtime
    from service.jobs.spec import make_spec
    from service.operations.base import EmbedOptions

    return make_spec(["synthetic:3"], bundle, open_runtime("fake", bundle), EmbedOptions(), 4, "parquet")


def test_a_record_is_the_same_after_it_was_written(spec, tmp_path):
    assert spec_from_json(spec.model_dump_json(), tmp_path) == spec


def test_every_field_that_differs_is_named_but_the_size_of_shards(spec):
    assert differences(spec, spec.model_copy(update={"shard_rows": 7})) == []
    other = spec.model_copy(update={"fit": "squash", "sources": ("a", "b"), "batch": 8})
    assert differences(spec, other) == [
        "sources was synthetic:3, is a, b",
        "fit was 'crop', is 'squash'",
        "batch was 4, is 8",
    ]


def test_it_is_frozen_and_strict(spec):
    with pytest.raises(ValidationError):
        spec.batch = 5
    with pytest.raises(ValidationError, match="extra"):
        JobSpec.model_validate({**spec.model_dump(), "colour": "red"})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 3}, "has job format 3; this version reads up to 2, install a newer ijepa-features"),
        ({"batch": 0}, "is malformed: batch: input should be greater than or equal to 1"),
        ({"colour": "red"}, "is malformed: colour: extra inputs are not permitted"),
    ],
)
def test_a_record_that_cannot_be_read_is_an_error_that_names_the_field(spec, tmp_path, change, message):
    import json

    with pytest.raises(ConfigError, match=message):
        spec_from_json(json.dumps({**spec.model_dump(), **change}), tmp_path / "spec")
