from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest

from models.bundle.reader import read_bundle
from models.errors import BundleError, ConfigError
from models.runtimes import measure, select, table
from models.runtimes.choices import Choice, Way
from models.runtimes.fake import FakeRuntime


def test_a_precision_that_a_bundle_does_not_have_is_an_error(golden):
    with pytest.raises(ConfigError, match="has no precision 'int8' on onnxruntime; it has float32"):
        select.open_runtime("onnxruntime", read_bundle(golden), 1, "int8")


def test_an_unknown_runtime_lists_those_there_are(golden):
    with pytest.raises(ConfigError, match="'fast' is unknown; the runtimes are auto, cpu, gpu, openvino, onnxruntime"):
        select.open_runtime("fast", read_bundle(golden))


def test_a_device_without_any_runtime_is_an_error(golden, monkeypatch):
    without = {name: member for name, member in table.RUNTIMES.items() if name != "cuda"}
    monkeypatch.setattr(table, "RUNTIMES", without)
    with pytest.raises(ConfigError, match="no runtime for gpu is available here; install the extra"):
        select.open_runtime("gpu", read_bundle(golden))


def test_a_toy_runtime_is_opened_by_its_name(golden, monkeypatch):
    """A new member of the family is a class and a line of the table."""
    monkeypatch.setitem(table.RUNTIMES, "toy", table.Member("models.runtimes.fake", "FakeRuntime"))
    runtime = select.open_runtime("toy", read_bundle(golden))
    assert isinstance(runtime, FakeRuntime)
    assert runtime.precision == "float32"


def test_a_runtime_without_its_library_says_what_to_install(monkeypatch):
    monkeypatch.setitem(table.RUNTIMES, "toy", table.Member("a_library_that_nobody_has.runtime", "Runtime"))
    with pytest.raises(ConfigError, match="the package a_library_that_nobody_has is not installed; install the extra"):
        table.RUNTIMES["toy"].load()


def test_a_runtime_whose_library_is_not_installed_is_left_out_of_its_group(golden, monkeypatch):
    monkeypatch.setitem(table.RUNTIMES, "openvino", table.Member("a_library_that_nobody_has.runtime", "Runtime"))
    assert list(table.load_runtimes("cpu")) == ["onnxruntime"]
    assert select.choose("cpu", read_bundle(golden), threads=1).chosen.runtime == "onnxruntime"


class _Toy(FakeRuntime):
    """A runtime whose precisions have their own errors and take their own time for an image."""

    device = "cpu"
    opened: ClassVar[list[str]] = []
    seconds: ClassVar = {"float32": 4.0, "bfloat16": 2.0, "int8": 1.0}
    errors: ClassVar = {"float32": 0.0, "bfloat16": 1e-5, "int8": 0.5}
    now = 0.0

    def __init__(self, bundle, precision="float32", threads=0):
        super().__init__(bundle, precision, threads)
        self.opened.append(precision)

    precisions = classmethod(lambda cls: ("float32", "bfloat16", "int8"))
    library = classmethod(lambda cls: "toy 1")

    def encode(self, pixels, outputs):
        type(self).now += self.seconds[self.precision] * len(pixels)
        noise, found = np.random.default_rng(0), super().encode(pixels, outputs)
        error = np.float32(self.errors[self.precision])
        return {name: each + error * noise.normal(size=each.shape).astype("f4") for name, each in found.items()}


@pytest.fixture
def toys(monkeypatch, golden):
    """A bundle, and toys as the only runtimes of the CPU, with a time that their work moves."""
    bundle = read_bundle(golden)
    variants = dict.fromkeys(["int8"], _variant(0.99))
    bundle = bundle._replace(
        manifest=bundle.manifest.model_copy(update={"variants": variants, "accuracy_floor": 0.999})
    )
    monkeypatch.setattr(_Toy, "opened", [])
    monkeypatch.setattr(table.Member, "load", lambda self: _Toy)
    monkeypatch.setattr(table, "RUNTIMES", {"toy": table.Member("", "")})
    monkeypatch.setattr(select, "RUNTIMES", table.RUNTIMES)
    monkeypatch.setattr(select, "check_canonical", lambda runtime, bundle: None)
    monkeypatch.setattr(measure, "time", SimpleNamespace(perf_counter=lambda: _Toy.now))
    return bundle


def _variant(cosine):
    from models.bundle.manifest import Accuracy, Variant

    accuracy = Accuracy(first_percentile=cosine, mean=cosine)
    return Variant(accuracy={"encoder.onnx": accuracy}, images=1000, measured_on="toys")


def test_auto_is_the_fastest_way_that_is_accurate_enough(toys, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    choice = select.choose("auto", toys)
    assert (choice.chosen.precision, choice.chosen.images_per_second) == ("bfloat16", pytest.approx(0.5))
    assert 0.999 <= choice.chosen.cosine < 1
    assert [way.precision for way in choice.others] == ["int8", "float32"]
    assert choice.others[0].problem == "below accuracy_floor 0.999"
    assert choice.others[0].measured_on == "1,000 images of toys"


def test_a_precision_that_was_asked_for_is_taken_whatever_its_accuracy(toys, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert select.choose("cpu", toys, precision="int8").chosen.precision == "int8"


def test_a_choice_is_kept_and_measured_once(toys, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    first = select.choose("auto", toys)
    _Toy.opened.clear()
    assert select.choose("auto", toys) == first
    assert not _Toy.opened


def test_a_fresh_choice_replaces_the_one_that_was_kept(toys, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    select.choose("auto", toys)
    monkeypatch.setitem(_Toy.seconds, "bfloat16", 8.0)
    assert select.choose("auto", toys).chosen.precision == "bfloat16"
    assert select.choose("auto", toys, fresh=True).chosen.precision == "float32"
    assert select.choose("auto", toys).chosen.precision == "float32"


@pytest.mark.parametrize("change", ["library", "machine", "bundle", "threads"])
def test_a_kept_choice_is_only_for_the_same_machine_libraries_bundle_and_threads(toys, tmp_path, monkeypatch, change):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    select.choose("auto", toys)
    _Toy.opened.clear()
    if change == "library":
        monkeypatch.setattr(_Toy, "library", classmethod(lambda cls: "toy 2"))
    elif change == "machine":
        monkeypatch.setattr("models.runtimes.choices.machine", lambda: "another one")
    elif change == "bundle":
        toys = toys._replace(sha256="0" * 64)
    select.choose("auto", toys, threads=3 if change == "threads" else 0)
    assert _Toy.opened


def test_a_way_that_does_not_compute_the_canonical_image_is_passed_over(toys, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    def check(runtime, bundle):
        if runtime.precision == "bfloat16":
            raise BundleError("tokens differ")

    monkeypatch.setattr(select, "check_canonical", check)
    choice = select.choose("auto", toys)
    assert choice.chosen.precision == "float32"
    assert [way.problem for way in choice.others if way.precision == "bfloat16"] == ["tokens differ"]


def test_outputs_that_are_not_numbers_are_never_accurate_enough(toys, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setitem(_Toy.errors, "bfloat16", float("nan"))
    assert select.choose("auto", toys).chosen.precision == "float32"


def test_a_cache_that_cannot_be_written_or_read_is_measured_again(toys, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert select.choose("auto", toys).chosen.precision == "bfloat16"


def test_a_broken_cache_file_is_measured_again(toys, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    first = select.choose("auto", toys)
    (kept,) = (tmp_path / "ijepa-features" / "runtimes").iterdir()
    kept.write_text("{")
    assert select.choose("auto", toys) == first


def test_the_sentence_says_what_was_chosen_and_what_the_others_gave():
    chosen = Way(runtime="openvino", precision="bfloat16", batch_size=8, images_per_second=1234.4, cosine=0.99991)
    other = Way(runtime="onnxruntime", precision="int8", batch_size=8, problem="it is broken")
    sentence = Choice(chosen=chosen, others=(other,)).sentence()
    assert sentence == (
        "openvino bfloat16 1,234 images/s (cosine 0.99991); others: onnxruntime int8 not used: it is broken"
    )


def test_outputs_below_the_accuracy_that_is_asked_are_computed_in_float32(toys, tmp_path, monkeypatch):
    from models.bundle.manifest import Accuracy

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    bad, good = (Accuracy(first_percentile=cosine, mean=cosine) for cosine in (0.9, 0.9999))
    graphs = {"encoder.onnx": bad, "context.onnx": good, "predictor.onnx": bad}
    variant = _variant(0.9).model_copy(update={"accuracy": graphs, "poolings": {"mean": good, "last4": bad}})
    toys = toys._replace(manifest=toys.manifest.model_copy(update={"variants": {"int8": variant}}))
    choice = select.choose("auto", toys)
    assert (choice.chosen.precision, choice.chosen.cosine) == ("int8", 0.9999)
    assert choice.chosen.float32_outputs == ("last4", "predictor.onnx")

    runtime = select.open_choice(choice, toys)
    _Toy.opened.clear()
    pixels, ids = np.zeros((1, 16, 16, 3), np.uint8), np.zeros((1, 2), np.int64)
    exact, found = FakeRuntime(toys).encode(pixels, ["mean", "last4"]), runtime.encode(pixels, ["mean"])
    context = runtime.encode_context(pixels, ids)
    assert not _Toy.opened
    found |= runtime.encode(pixels, ["last4"])
    runtime.predict(context, ids, ids)
    assert _Toy.opened == ["float32"]
    assert np.array_equal(found["last4"], exact["last4"])
    assert not np.array_equal(found["mean"], exact["mean"])
