import torch

from tests.models.importers import meta_layout
from tests.models.importers.helpers import close, imported


@torch.no_grad()
def test_metas_file_gives_its_networks_outputs(meta, tmp_path):
    """Tokens, context tokens and predictions; the two encoders are not mistaken for one another."""
    checkpoint, model = imported(meta, tmp_path, heads=5)
    file = torch.load(meta, weights_only=True)
    parts = {
        part: {name.removeprefix("module."): tensor for name, tensor in file[part].items()}
        for part in ("encoder", "predictor", "target_encoder")
    }
    pixels = torch.randn(3, 3, 16, 16)
    context_ids, target_ids = torch.tensor([[0, 3, 7, 9]] * 3), torch.tensor([[[1, 2]]] * 3)
    context = meta_layout.encode(parts["encoder"], pixels, 5, context_ids)
    predicted = meta_layout.predict(parts["predictor"], context, context_ids, target_ids[:, 0], heads=5)

    assert checkpoint.absent == ()
    assert close(model.target_encoder(pixels), meta_layout.encode(parts["target_encoder"], pixels, 5))
    assert close(model.encode_context(pixels, context_ids), context)
    assert close(model.predict(model.encode_context(pixels, context_ids), context_ids, target_ids)[:, 0], predicted)
    assert not close(model.target_encoder(pixels), model.context_encoder(pixels))


def test_the_settings_of_metas_training_are_known_to_a_bundle(meta, tmp_path):
    from models.export.provenance import distance_of, masking_of, provenance_of

    checkpoint, _ = imported(meta, tmp_path, heads=5)
    pixels, training = checkpoint.config.pixels, checkpoint.training
    source = provenance_of(training, "sha")

    assert (pixels.crop, pixels.interpolation, pixels.mean) == (224 / 256, "bicubic", (0.485, 0.456, 0.406))
    assert (masking_of(training).name, distance_of(training).name) == ("reference", "smooth_l1")
    assert training.licence == "CC-BY-NC-4.0"
    assert source.recipe == "imported from odd"
    assert (source.steps, source.images_seen, source.runs) == (None, None, None)


def test_one_tensor_under_two_names_becomes_two_tensors(tmp_path):
    document = meta_layout.document()
    document["target_encoder"] = document["encoder"]
    checkpoint, model = imported(meta_layout.write(tmp_path / "shared.pth.tar", document), tmp_path, heads=5)
    assert checkpoint.absent == ()
    assert torch.equal(model.target_encoder.norm.weight, model.context_encoder.norm.weight)
