import pytest

from models.bundle.reader import read_bundle
from models.runtimes.choices import Choice, Way
from service.bench.engine import average_run, measure_engine


def way(**fields):
    first = Way(runtime="onnxruntime", precision="float32", batch_size=2, images_per_second=1.0)
    return first.model_copy(update=fields)


def test_each_way_is_measured_and_the_chosen_one_is_marked(golden):
    bundle = read_bundle(golden)
    choice = Choice(chosen=way(), others=(way(runtime="fake", batch_size=1),))
    real, fake = measure_engine(choice, bundle, 1, 0.01, {"float32": 100.0}).ways

    assert (real.chosen, fake.chosen) == (True, False)
    assert real.images_per_second > 1
    assert real.single_ms > 0
    assert real.core_ms > 0
    assert real.gflops == pytest.approx(real.images_per_second * bundle.manifest.model.encoder.flop / 1e9)
    assert real.gemm_share == pytest.approx(real.gflops / 100)
    assert fake.images_per_second > 1
    assert (fake.gflops, fake.gemm_share) == (None, None), "it does not compute the network"


def test_a_way_that_could_not_be_timed_keeps_its_problem(golden):
    broken = way(runtime="openvino", images_per_second=None, problem="it is broken")
    ways = measure_engine(Choice(chosen=way(), others=(broken,)), read_bundle(golden), 1, 0.01, {}).ways
    assert (ways[1].problem, ways[1].images_per_second) == ("it is broken", None)
    assert ways[0].gemm_share is None, "no peak of this precision was measured"


def test_an_accuracy_that_was_not_measured_yet_is_measured(golden, monkeypatch):
    from models.runtimes.fake import FakeRuntime

    monkeypatch.setattr(FakeRuntime, "exact", True)
    choice = Choice(chosen=way(runtime="fake", precision="bfloat16"))
    (found,) = measure_engine(choice, read_bundle(golden), 1, 0.01, {}).ways
    assert found.cosine == pytest.approx(1)
    assert found.measured_on == "generated images"


def test_a_run_that_takes_longer_than_the_time_is_counted_once():
    calls = []
    average_run(lambda: calls.append(1), 0)
    assert len(calls) == 2, "one to prepare, one that is measured"
