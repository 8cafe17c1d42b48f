import pytest
from pydantic import ValidationError

from models.errors import ConfigError
from service.jobs.spec import GRAPHS_OF_BUNDLES, JobSpec, changed_fields, graphs_digest, spec_from_json


@pytest.fixture
def spec(bundle):
    from models.runtimes.select import open_runtime
    from service.jobs.spec import make_spec
    from service.operations.base import EmbedOptions

    return make_spec(["synthetic:3"], bundle, open_runtime("fake", bundle), EmbedOptions(), 4, "parquet", False)


def test_a_record_is_the_same_after_it_was_written(spec, tmp_path):
    assert spec_from_json(spec.model_dump_json(), tmp_path) == spec


def test_every_field_that_differs_is_named_but_the_size_of_shards(spec):
    assert changed_fields(spec, spec.model_copy(update={"shard_rows": 7})) == []
    other = spec.model_copy(update={"fit": "squash", "sources": ("a", "b"), "batch": 8, "by_suffix": True})
    assert changed_fields(spec, other) == [
        "sources was synthetic:3, is a, b",
        "by_suffix was False, is True",
        "fit was 'crop', is 'squash'",
        "batch was 4, is 8",
    ]


def test_a_bundle_with_another_manifest_and_the_same_graphs_is_not_a_change(spec):
    rewritten = spec.model_copy(update={"bundle_sha256": "1" * 64})
    assert changed_fields(spec, rewritten) == []
    other = rewritten.model_copy(update={"graphs_sha256": "2" * 64})
    unknown = spec.model_copy(update={"graphs_sha256": None})
    for before, now in ((spec, other), (unknown, rewritten)):
        assert changed_fields(before, now) == [f"bundle_sha256 was {spec.bundle_sha256!r}, is {'1' * 64!r}"]


def test_the_digest_of_the_graphs_changes_with_a_graph_and_the_preprocessing_and_nothing_else(bundle):
    from models.bundle.manifest import File

    manifest = bundle.manifest
    files = {**manifest.files, "MODEL_CARD.md": File(sha256="0" * 64, size=1)}
    rewritten = manifest.model_copy(update={"licence": "MIT", "files": files})
    assert graphs_digest(rewritten) == graphs_digest(manifest)
    for name in ("encoder.onnx", "encoder.onnx.data", "canonical.safetensors"):
        files = {**manifest.files, name: File(sha256="0" * 64, size=1)}
        assert graphs_digest(manifest.model_copy(update={"files": files})) != graphs_digest(manifest)
    for changed in ({"interpolation": "bicubic"}, {"decoding": "scaled"}):
        pixels = manifest.model.pixels.model_copy(update=changed)
        model = manifest.model.model_copy(update={"pixels": pixels})
        assert graphs_digest(manifest.model_copy(update={"model": model})) != graphs_digest(manifest)


def test_the_digest_of_the_graphs_leaves_out_precisions_that_the_job_does_not_use(bundle):
    from models.bundle.manifest import Accuracy, File, Variant

    manifest = bundle.manifest
    accuracy = Accuracy(first_percentile=1, mean=1)
    int8 = Variant(accuracy={"encoder.onnx": accuracy}, images=1, measured_on="x")
    names = ("encoder.int8.onnx", "encoder.int8.onnx.data")
    files = {**manifest.files, **{name: File(sha256="0" * 64, size=1) for name in names}}
    with_int8 = manifest.model_copy(update={"files": files, "variants": {"int8": int8}})
    for precision in ("float32", "bfloat16"):
        assert graphs_digest(with_int8, precision) == graphs_digest(manifest)
    assert graphs_digest(with_int8, "int8") != graphs_digest(manifest)


def test_a_shipped_bundle_whose_manifest_changed_has_the_graphs_that_are_recorded_for_it():
    from models.bundle.reader import ZOO, read_manifest

    assert list(GRAPHS_OF_BUNDLES.values()) == [graphs_digest(read_manifest(ZOO / "fashion-mnist-nano"))]


def test_a_record_from_before_by_suffix_has_it_off(spec, tmp_path):
    document = spec.model_dump_json(exclude={"by_suffix", "graphs_sha256"})
    assert spec_from_json(document, tmp_path) == spec.model_copy(update={"graphs_sha256": None})


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
