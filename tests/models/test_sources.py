"""Published weights in: the numbers of the networks they come from, and one sentence for every file that is none."""

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from models.errors import HubError, SourceError
from tests.models import meta_layout

PICTURE = np.random.default_rng(5).integers(0, 256, (61, 47, 3), dtype=np.uint8)


def close(given, expected):
    """The contract's measure of parity."""
    return float((given - expected).abs().max()) <= 1e-4 * max(1.0, float(expected.square().mean().sqrt()))


def imported(source, tmp_path, **options):
    """A source as `ijepa import` leaves it, read back."""
    from models.checkpoint import load_model, read_checkpoint, write_checkpoint
    from models.sources import import_source

    found = import_source(str(source), **options)
    write_checkpoint(tmp_path / "imported", found.config, found.tensors, found.training)
    checkpoint = read_checkpoint(tmp_path / "imported")
    return checkpoint, load_model(checkpoint).eval()


@pytest.fixture
def meta(tmp_path):
    return meta_layout.write(tmp_path / "odd.pth.tar", meta_layout.document())


@pytest.fixture
def hugging_face(tmp_path):
    transformers = pytest.importorskip("transformers", reason="parity with transformers needs transformers (make dev)")
    torch.manual_seed(3)
    config = transformers.IJepaConfig(
        hidden_size=48, num_hidden_layers=5, num_attention_heads=3, intermediate_size=96, image_size=32, patch_size=8,
        layer_norm_eps=1e-3, initializer_range=0.2,
    )  # fmt: skip
    model = transformers.IJepaModel(config, add_pooling_layer=False).eval()
    model.save_pretrained(tmp_path / "theirs")
    transformers.ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(tmp_path / "theirs")
    return tmp_path / "theirs", model


@torch.no_grad()
def test_metas_file_gives_its_networks_numbers(meta, tmp_path):
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


def test_what_meta_trained_with_goes_along(meta, tmp_path):
    from models.bundle import read_bundle
    from models.export import export_bundle

    checkpoint, _ = imported(meta, tmp_path, heads=5)
    export_bundle(checkpoint, tmp_path / "bundle", bundle_id="odd")
    manifest = read_bundle(tmp_path / "bundle").manifest

    assert (manifest.model.pixels.crop, manifest.model.pixels.interpolation) == (224 / 256, "bicubic")
    assert manifest.model.pixels.mean == (0.485, 0.456, 0.406)
    assert (manifest.masking["name"], manifest.distance.name) == ("reference", "smooth_l1")
    assert manifest.licence == "CC-BY-NC-4.0"
    assert manifest.source.recipe == "imported from odd"
    assert "CC-BY-NC-4.0" in (tmp_path / "bundle" / "MODEL_CARD.md").read_text()


@torch.no_grad()
def test_a_transformers_folder_gives_its_models_numbers(hugging_face, tmp_path):
    folder, theirs = hugging_face
    checkpoint, model = imported(folder, tmp_path)
    pixels = torch.randn(2, 3, 32, 32)

    assert checkpoint.config.encoder.norm_eps == 1e-3
    assert checkpoint.absent == ("context_encoder", "predictor")
    assert close(model.target_encoder(pixels), theirs(pixels).last_hidden_state)


@torch.no_grad()
def test_a_model_in_several_files_is_read_whole(hugging_face, tmp_path):
    _, theirs = hugging_face
    theirs.save_pretrained(tmp_path / "shards", max_shard_size="60KB")
    assert len(list((tmp_path / "shards").glob("*.safetensors"))) > 1
    _, model = imported(tmp_path / "shards", tmp_path)
    pixels = torch.randn(2, 3, 32, 32)
    assert close(model.target_encoder(pixels), theirs(pixels).last_hidden_state)

    (tmp_path / "shards" / "model.safetensors.index.json").write_text('{"weight_map": {"a": "../../else.safetensors"}}')
    with pytest.raises(SourceError, match="cannot be read"):
        imported(tmp_path / "shards", tmp_path)


@torch.no_grad()
def test_a_classifiers_encoder_is_taken_without_its_head(hugging_face, tmp_path):
    import transformers

    _, theirs = hugging_face
    classifier = transformers.IJepaForImageClassification(theirs.config).eval()
    classifier.save_pretrained(tmp_path / "classifier")
    _, model = imported(tmp_path / "classifier", tmp_path)
    pixels = torch.randn(2, 3, 32, 32)

    assert close(model.target_encoder(pixels), classifier.ijepa(pixels).last_hidden_state)


@torch.no_grad()
def test_upstream_preprocessing_is_transformers_own(hugging_face, tmp_path):
    """Their processor's numbers, picture to tokens; what the network was trained with is another thing, and the default."""
    import transformers

    from models.graphs import EncoderGraph
    from models.preprocess import to_pixels

    folder, theirs = hugging_face
    picture = Image.fromarray(PICTURE)
    processor = transformers.AutoImageProcessor.from_pretrained(folder, backend="pil")
    expected = theirs(**processor(picture, return_tensors="pt")).last_hidden_state
    tokens = {}
    for preprocessing in ("upstream", "trained"):
        checkpoint, model = imported(folder, tmp_path / preprocessing, preprocessing=preprocessing)
        pixels = torch.from_numpy(to_pixels(picture, checkpoint.config.pixels))[None]
        tokens[preprocessing] = EncoderGraph(model)(pixels)[0]

    assert close(tokens["upstream"], expected)
    assert not close(tokens["trained"], expected)


@torch.no_grad()
def test_a_timm_model_gives_its_numbers(tmp_path, monkeypatch):
    import timm

    from models.preprocess import to_pixels

    settings = {"img_size": 32, "patch_size": 8, "embed_dim": 48, "depth": 4, "num_heads": 3}
    theirs = published_by_timm(tmp_path, monkeypatch, **settings)
    picture = Image.fromarray(PICTURE)
    transform = timm.data.create_transform(**{**timm.data.resolve_model_data_config(theirs), "input_size": (3, 32, 32)})
    checkpoint, model = imported("timm:vit_huge_patch14_gap_224.in1k_ijepa", tmp_path, preprocessing="upstream")
    pixels = to_pixels(picture, checkpoint.config.pixels)

    from models.encoder import normalise

    ours = normalise(torch.from_numpy(pixels)[None], checkpoint.config.pixels)
    assert close(ours, transform(picture)[None])
    assert close(model.target_encoder(ours), theirs.forward_features(transform(picture)[None]))
    assert checkpoint.training["licence"] == "CC-BY-NC-4.0"
    assert "ImageNet-1k" in checkpoint.training["trained_on"]


def published_by_timm(tmp_path, monkeypatch, **settings):
    """timm's H/14 made small, its published file in torch's cache as after a download; the model that timm makes of it."""
    import timm

    real = timm.create_model
    name = "vit_huge_patch14_gap_224.in1k_ijepa"
    url = timm.get_pretrained_cfg(name).url
    hub = tmp_path / "torch"
    (hub / "hub" / "checkpoints").mkdir(parents=True)
    monkeypatch.setenv("TORCH_HOME", str(hub))
    monkeypatch.setattr(timm, "create_model", lambda given, **more: real(given, **more, **settings))
    torch.manual_seed(1)
    fresh = real(name, **settings)
    encoder = {f"module.{key}": value for key, value in fresh.state_dict().items()}
    torch.save({"encoder": encoder, "predictor": {}, "epoch": 1}, hub / "hub" / "checkpoints" / Path(url).name)
    return timm.create_model(name, pretrained=True).eval()


def test_heads_are_never_guessed(meta, tmp_path, monkeypatch):
    """Not for a width that no table has, not where the source and the table disagree, not for blocks that do not add up."""
    from models.sources import import_source

    with pytest.raises(SourceError, match=r"40 wide.*--heads"):
        import_source(str(meta))
    cut = meta_layout.write(tmp_path / "tiny.pth.tar", meta_layout.document(width=192, depth=12, hidden=768, narrow=24))
    with pytest.raises(SourceError, match=r"its predictor 3; the table of sizes has .*12 and 6 \(tiny\)"):
        import_source(str(cut))
    published_by_timm(tmp_path, monkeypatch, img_size=32, patch_size=8, embed_dim=192, depth=12, num_heads=4)
    with pytest.raises(SourceError, match=r"says 4 heads, an I-JEPA of width 192 has 3: say which with --heads"):
        import_source("timm:vit_huge_patch14_gap_224.in1k_ijepa")
    assert import_source("timm:vit_huge_patch14_gap_224.in1k_ijepa", heads=4).config.encoder.heads == 4


def without(document, part, prefix):
    """A document without the tensors of a part whose names start so."""
    kept = {name: tensor for name, tensor in document[part].items() if not name.startswith(f"module.{prefix}")}
    return {**document, part: kept}


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def wrong_files(tmp_path):
    """Files that are no I-JEPA, and what the message must say."""
    good = meta_layout.document()
    whole = meta_layout.write(tmp_path / "whole.pth.tar", good).read_bytes()
    (tmp_path / "truncated.pth.tar").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.pth.tar").write_text("<html>not found</html>")
    torch.save({**good, "loss": Bomb(tmp_path / "ran")}, tmp_path / "code.pth.tar")
    torch.save(torch.nn.Linear(2, 2).state_dict(), tmp_path / "other.pth.tar")
    broken = {**good["target_encoder"], "module.norm.bias": torch.full((40,), torch.nan)}
    cls = {
        **good["target_encoder"],
        "module.pos_embed": torch.zeros(1, 17, 40),
        "module.cls_token": torch.zeros(1, 1, 40),
    }
    for name, document in {
        "nan": {**good, "target_encoder": broken},
        "gap": without(good, "predictor", "predictor_blocks.1."),
        "no-norm": without(good, "encoder", "norm."),
        "more": {**good, "encoder": {**good["encoder"], "module.head.weight": torch.zeros(3)}},
        "class-token": {**good, "target_encoder": cls},
    }.items():
        meta_layout.write(tmp_path / f"{name}.pth.tar", document)
    return {
        "truncated": "cut short",
        "text": "is no checkpoint that torch wrote",
        "code": "would run code",
        "other": "has no I-JEPA inside.*weight, bias",
        "nan": "not finite in target_encoder.norm.bias",
        "gap": "missing predictor.blocks.1.norm1.weight",
        "no-norm": r"missing context_encoder.norm.weight \[40\]",
        "more": "unexpected context_encoder.head.weight",
        "class-token": "no square grid",
        "absent": "is no file, no folder and no id",
    }


def test_a_wrong_file_is_one_sentence_and_leaves_nothing(tmp_path, capsys):
    """No code of the file is run, no folder is written, no trace is shown."""
    from ijepa import main

    for name, message in wrong_files(tmp_path).items():
        out = tmp_path / "out"
        code = main(["import", str(tmp_path / f"{name}.pth.tar"), "--out", str(out), "--heads", "5"])
        error = capsys.readouterr().err
        assert code == 1, name
        assert next(line for line in error.splitlines() if not line.startswith("checking: ")).startswith(
            "ijepa import: "
        )
        assert "Traceback" not in error
        assert re.search(message, error), (name, error)
        assert not out.exists()
    assert not (tmp_path / "ran").exists()


def test_a_safetensors_with_a_nan_and_a_foreign_model_are_refused(hugging_face):
    from safetensors.torch import load_file, save_file

    from models.sources import import_source

    folder, _ = hugging_face
    tensors = load_file(folder / "model.safetensors")
    tensors["layernorm.weight"][3] = torch.nan
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(SourceError, match=r"not finite in target_encoder\.norm\.weight"):
        import_source(str(folder))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "dinov2"}))
    with pytest.raises(SourceError, match="type 'dinov2', expected 'ijepa'"):
        import_source(str(folder))


def test_a_hub_id_without_a_hub_says_so(monkeypatch):
    import huggingface_hub.constants as constants

    from models.sources import import_source

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(HubError, match="cannot be fetched from the Hugging Face hub"):
        import_source("facebook/ijepa_vith14_1k_that_nobody_has")


def test_an_encoder_alone_makes_a_bundle_that_embeds_and_says_why_it_cannot_predict(hugging_face, tmp_path):
    from fastapi.testclient import TestClient

    from models.export import export_bundle
    from service.app import create_app
    from service.settings import read_settings
    from tests.service.conftest import wait_until_ready

    checkpoint, _ = imported(hugging_face[0], tmp_path)
    export_bundle(checkpoint, tmp_path / "bundle", bundle_id="theirs")
    with TestClient(create_app(read_settings(bundle=(str(tmp_path / "bundle"),)))) as client:
        file = tmp_path / "picture.png"
        Image.fromarray(PICTURE).save(file)
        body, head = file.read_bytes(), {"content-type": "image/png"}
        wait_until_ready(client)
        embedded = client.post("/v1/images/embeddings", content=body, headers=head)
        predicted = client.post(
            "/v1/predict", content=body, headers=head, params={"targets": '[{"box":[0,0,0.5,0.5]}]'}
        )

    assert len(embedded.json()["data"][0]["embedding"]) == 48
    assert predicted.status_code == 400
    assert predicted.json()["error"]["code"] == "unsupported_option"


@pytest.mark.parametrize("to", ["timm", "transformers", "safetensors"])
@torch.no_grad()
def test_our_weights_load_strictly_elsewhere_and_give_the_same_tokens(to, tmp_path):
    from models.checkpoint import load_model, read_checkpoint
    from models.formats import export_format
    from tests.golden.make import write_tiny_checkpoint

    checkpoint = read_checkpoint(write_tiny_checkpoint(tmp_path / "step"))
    recipe = checkpoint.config.pixels.model_copy(update={"mean": (0.2, 0.3, 0.4)})
    checkpoint = checkpoint._replace(config=checkpoint.config.model_copy(update={"pixels": recipe}))
    export_format(checkpoint, to, tmp_path / to, "Apache-2.0")
    pixels = torch.randn(2, 3, 16, 16)
    expected = load_model(checkpoint).eval().target_encoder(pixels)

    if to == "timm":
        import timm

        theirs = timm.create_model(f"local-dir:{tmp_path / to}", pretrained=True).eval()
        assert close(theirs.forward_features(pixels), expected)
        assert close(theirs(pixels), expected.mean(1))
    elif to == "transformers":
        transformers = pytest.importorskip("transformers", reason="needs transformers (make dev)")
        theirs, report = transformers.IJepaModel.from_pretrained(
            tmp_path / to, add_pooling_layer=False, output_loading_info=True
        )
        assert not any(report.values())
        assert close(theirs.eval()(pixels).last_hidden_state, expected)
        back, again = imported(tmp_path / to, tmp_path)
        assert back.config.pixels.mean == (0.2, 0.3, 0.4)
        assert close(again.eval().target_encoder(pixels), expected)
    else:
        from safetensors.torch import load_file

        from models.encoder import Encoder

        theirs = Encoder(checkpoint.config.encoder).eval()
        theirs.load_state_dict(load_file(tmp_path / to / "model.safetensors"), strict=True)
        assert close(theirs(pixels), expected)


@pytest.mark.parametrize(("mean", "std", "believed"), [(0.5, 0.5, False), (0.5, 0.25, True), (0.1, 0.5, True)])
def test_statistics_are_believed_unless_they_are_a_class_default(mean, std, believed, hugging_face, tmp_path):
    folder, _ = hugging_face
    processor = folder / "preprocessor_config.json"
    given = json.loads(processor.read_text()) | {"image_mean": [mean] * 3, "image_std": [std] * 3}
    processor.write_text(json.dumps(given))
    checkpoint, _ = imported(folder, tmp_path)

    pixels = checkpoint.config.pixels
    assert ((pixels.mean, pixels.std) == ((mean,) * 3, (std,) * 3)) == believed


def test_nothing_is_said_of_how_an_unknown_network_was_trained(hugging_face, meta, tmp_path):
    assert imported(hugging_face[0], tmp_path / "theirs")[0].training["settings"] == {}
    assert imported(meta, tmp_path / "meta", heads=5)[0].training["settings"]["masking"]["name"] == "reference"


@pytest.mark.parametrize("licence", ["cc-by-nc-4.0", "Acme Noncommercial 1.0"])
def test_a_licence_survives_the_formats_of_others(licence, tmp_path):
    from models.checkpoint import read_checkpoint
    from models.formats import export_format
    from tests.golden.make import write_tiny_checkpoint

    checkpoint = read_checkpoint(write_tiny_checkpoint(tmp_path / "step"))
    for to, prefix in (("timm", "timm:local-dir:"), ("transformers", "")):
        export_format(checkpoint, to, tmp_path / to, licence)
        back, _ = imported(f"{prefix}{tmp_path / to}", tmp_path / f"from-{to}", heads=checkpoint.config.encoder.heads)
        assert back.training["licence"] == licence


def test_two_names_for_one_tensor_are_two_tensors_here(tmp_path):
    document = meta_layout.document()
    document["target_encoder"] = document["encoder"]
    checkpoint, model = imported(meta_layout.write(tmp_path / "shared.pth.tar", document), tmp_path, heads=5)
    assert checkpoint.absent == ()
    assert torch.equal(model.target_encoder.norm.weight, model.context_encoder.norm.weight)


@pytest.mark.parametrize("part", ["encoder", "predictor"])
def test_what_is_missing_is_said(part, tmp_path):
    from models.sources import import_source

    document = {key: value for key, value in meta_layout.document().items() if key != part}
    found = import_source(str(meta_layout.write(tmp_path / "part.pth.tar", document)), heads=5)
    assert any("it can encode, not predict" in note for note in found.notes)


@pytest.mark.parametrize(("width", "hidden"), [(44, 60), (1408, 1920), (1664, 4032)])
def test_every_hidden_width_is_the_one_that_was_asked_for(width, hidden):
    """timm multiplies by a ratio and cuts to a whole number."""
    from models.config import EncoderConfig
    from models.encoder import Encoder

    with torch.device("meta"):
        encoder = Encoder(EncoderConfig(width=width, depth=1, heads=4, hidden=hidden, patch_size=4, grid=(2, 2)))
    assert encoder.blocks[0].mlp.fc1.out_features == hidden


def test_training_does_not_start_from_half_a_network(hugging_face, tmp_path):
    from models.checkpoint import CheckpointError
    from training.recipes import RECIPES
    from training.trainer import Trainer

    checkpoint, _ = imported(hugging_face[0], tmp_path)
    with pytest.raises(CheckpointError, match="no context_encoder and no predictor; training starts from a whole"):
        Trainer(RECIPES["debug"](), tmp_path / "run", init=checkpoint)
