import numpy as np
import pytest

from models.bundle.reader import read_bundle
from models.errors import BundleError
from models.runtimes.networks import Networks
from training.evaluation.networks import of_bundle, of_model, open_network, other_precisions, untrained


def test_torch_and_the_runtime_of_a_bundle_are_the_same_networks(golden, one_thread):
    from models.export.graphs import round_weights
    from tests.golden.make import tiny_model

    bundle = of_bundle(read_bundle(golden))
    model = tiny_model()
    round_weights(model)
    torch = of_model(model, bundle.space, "x")
    pixels = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), dtype=np.uint8)
    context, targets = np.array([[0, 1, -1], [4, 5, 6], [7, 8, -1]]), np.array([[2, 3], [7, 8], [1, -1]])

    assert torch.poolings == bundle.poolings == ("mean", "last4")
    a, b = (each.graphs.encode(pixels, ["last4", "tokens"]) for each in (bundle, torch))
    assert list(a) == list(b) == ["last4", "tokens"]
    for name in a:
        np.testing.assert_allclose(a[name], b[name], atol=1e-4)
    tokens = [each.graphs.encode_context(pixels, context) for each in (bundle, torch)]
    np.testing.assert_allclose(*(each[context >= 0] for each in tokens), atol=1e-4)
    predicted = [
        each.graphs.predict(some, context, targets) for each, some in zip((bundle, torch), tokens, strict=True)
    ]
    np.testing.assert_allclose(*(each[targets >= 0] for each in predicted), atol=1e-4)


def test_a_checkpoint_a_run_and_a_bundle_are_all_opened(golden, tmp_path):
    from models.checkpoint.store import update_latest
    from tests.golden.make import write_tiny_checkpoint

    step = write_tiny_checkpoint(tmp_path / "run" / "step-00000001")
    update_latest(tmp_path / "run", step)
    opened = [open_network(str(each)) for each in (golden, step, tmp_path / "run")]
    assert [each.description for each in opened] == [
        "exported bundle, weights stored as float16",
        "checkpoint",
        "checkpoint",
    ]
    assert all(isinstance(each.graphs, Networks) and each.predicts for each in opened)
    assert opened[1].identity == opened[2].identity
    assert other_precisions(str(golden)) == other_precisions(str(step)) == {}


def test_a_name_that_is_nothing_lists_the_bundles_there_are():
    with pytest.raises(BundleError, match=r"no bundle 'runs/nowhere'.*fashion-mnist-nano"):
        open_network("runs/nowhere")


def test_the_distance_is_that_of_the_checkpoints_training(tmp_path):
    from models.checkpoint.record import TrainingRecord
    from models.checkpoint.store import write_checkpoint
    from tests.golden.make import tiny_config, tiny_model

    record = TrainingRecord(settings={"objective": {"distance": "l2", "beta": 0.5}})
    write_checkpoint(tmp_path / "step", tiny_config(), tiny_model().state_dict(), record)
    assert open_network(str(tmp_path / "step")).space.distance.name == "l2"


def test_an_untrained_network_is_the_same_for_the_same_seed(golden):
    network = of_bundle(read_bundle(golden))
    pixels = np.zeros((1, 16, 16, 3), dtype=np.uint8)
    a, b, c = (untrained(network, seed).graphs.encode(pixels, ["mean"])["mean"] for seed in (0, 0, 1))
    np.testing.assert_array_equal(a, b)
    assert not np.allclose(a, c)
