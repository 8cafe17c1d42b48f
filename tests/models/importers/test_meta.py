import zipfile

import pytest
import torch

from models.errors import ImporterError
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


def archive(path, pickled, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as file:
        file.writestr("archive/data.pkl", pickled)
        file.writestr("archive/version", b"3")
        file.writestr("archive/byteorder", b"little")
    return str(path)


@pytest.mark.parametrize(
    "pickled", [b"", b".", b"(", b"\x80\x02]q\x00" + b"(" * 9, b"\x80\x02K\x01.", b"]" * 50_000 + b"."], ids=repr
)
def test_a_pickle_of_anything_else_is_one_sentence(pickled, tmp_path):
    from models.importers.table import import_source

    with pytest.raises(ImporterError):
        import_source(archive(tmp_path / "x.pth.tar", pickled))


def test_code_in_a_pickle_is_not_run(tmp_path):
    from models.importers.table import import_source

    with pytest.raises(ImporterError, match="would run code from the file; it was not loaded"):
        import_source(archive(tmp_path / "x.pth.tar", b"cos\nsystem\n(S'touch /tmp/run'\ntR."))


def test_what_unpacks_to_gigabytes_is_not_read(tmp_path):
    from models.importers.table import import_source

    with pytest.raises(ImporterError, match=r"'archive/data\.pkl' in it is compressed"):
        import_source(archive(tmp_path / "x.pth.tar", b"]" * 10_000, zipfile.ZIP_DEFLATED))
    with pytest.raises(ImporterError, match="has 16,000,001 bytes, at most 16,000,000 are allowed"):
        import_source(archive(tmp_path / "x.pth.tar", b"]" * 16_000_001))


def test_one_value_that_stands_for_a_large_tensor_is_an_error(tmp_path):
    from models.importers.table import import_source

    document = {"encoder": {"module.pos_embed": torch.zeros(1).expand(1, 10_000, 10_000)}}
    torch.save(document, tmp_path / "x.pth.tar")
    with pytest.raises(ImporterError, match="has tensors of 400,000,000 bytes in a file of"):
        import_source(str(tmp_path / "x.pth.tar"))


def test_a_block_of_any_number_is_an_unexpected_tensor(tmp_path):
    from models.importers.tensor_names import count_blocks

    assert count_blocks(["blocks.0.norm1.weight", f"blocks.{'9' * 5000}.norm1.weight", "blocks.123456789.x"]) == 1
