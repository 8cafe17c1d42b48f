import pytest

from models.bundle.card import model_card, training_length
from models.bundle.manifest import Provenance
from models.bundle.reader import read_manifest


@pytest.mark.parametrize(
    ("steps", "images", "runs", "expected"),
    [
        (118_125, 1_890_000, 2, " (118,125 steps in 2 runs, 1,890,000 images seen)"),
        (10, 320, 1, " (10 steps, 320 images seen)"),
        (10, None, None, " (10 steps)"),
        (None, None, None, ""),
        (0, 0, 1, ""),
    ],
)
def test_the_length_of_the_training_is_the_total_with_the_number_of_runs_above_one(steps, images, runs, expected):
    source = Provenance(checkpoint_sha256="", recipe="", trained_on="", steps=steps, images_seen=images, runs=runs)
    assert training_length(source) == expected


def test_a_card_is_made_from_the_manifest(golden):
    manifest = read_manifest(golden)
    source = manifest.source.model_copy(
        update={"trained_on": "my photographs", "steps": 7, "images_seen": 70, "runs": 3}
    )
    card = model_card(manifest.model_copy(update={"source": source}))

    assert card.startswith(
        "# golden\n\nAn I-JEPA: a Vision Transformer of 4 blocks of width 32 over 4x4 patches of 4 pixels"
    )
    assert "- Trained on my photographs (7 steps in 3 runs, 70 images seen).\n- Recipe: none.\n" in card
    assert "`mean` (32 dimensions), `last4` (128 dimensions)" in card
    assert "Max abs difference between ONNX Runtime and PyTorch in float32: encoder.onnx 1.2e-06" in card


def test_a_text_of_ones_own_comes_first_and_gets_the_licence(golden):
    manifest = read_manifest(golden)
    assert model_card(manifest, "# Mine\n").startswith(
        "# Mine\n\nLicence of the weights: Apache-2.0.\n\n## What was measured"
    )
    assert model_card(manifest, "# Mine, Apache-2.0\n").startswith("# Mine, Apache-2.0\n\n## What was measured")


def test_the_bundled_models_card_log_and_manifest_state_the_same_training():
    """The totals of both runs; the log is that of the second."""
    from models.bundle.reader import find_bundle, read_bundle

    bundle = read_bundle(find_bundle("fashion-mnist-nano"))
    card, source = bundle.path("MODEL_CARD.md").read_text(), bundle.manifest.source
    header, *_, last = bundle.path("training_log.csv").read_text().splitlines()

    assert (source.steps, source.images_seen, source.runs) == (118_125, 118_125 * 16, 2)
    assert f"{source.steps:,} steps of 16 images, {source.images_seen:,} images seen" in card
    assert header.split(",")[:5] == ["step", "epoch", "images", "loss", "explained_variance"]
    assert f"{int(last.split(',')[0]):,} of the {source.steps:,} steps" in card
    assert card.endswith(model_card(bundle.manifest, bundle.manifest.licence).removeprefix("Apache-2.0\n\n"))
