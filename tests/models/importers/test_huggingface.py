import json

import pytest
import torch
from PIL import Image

from models.errors import HubError, ImporterError
from tests.models.importers.helpers import IMAGE, close, imported


@torch.no_grad()
def test_a_transformers_folder_gives_its_models_outputs(hugging_face, tmp_path):
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
    with pytest.raises(ImporterError, match="cannot be read"):
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
    """The outputs with their processor, image to tokens. The default is the preprocessing of the training, which differs."""
    import transformers

    from models.export.graphs import EncoderGraph
    from models.images.preprocess import to_pixels

    folder, theirs = hugging_face
    image = Image.fromarray(IMAGE)
    processor = transformers.AutoImageProcessor.from_pretrained(folder, backend="pil")
    expected = theirs(**processor(image, return_tensors="pt")).last_hidden_state
    tokens = {}
    for preprocessing in ("upstream", "trained"):
        checkpoint, model = imported(folder, tmp_path / preprocessing, preprocessing=preprocessing)
        pixels = torch.from_numpy(to_pixels(image, checkpoint.config.pixels))[None]
        tokens[preprocessing] = EncoderGraph(model)(pixels)[0]

    assert close(tokens["upstream"], expected)
    assert not close(tokens["trained"], expected)


@pytest.mark.parametrize(("mean", "std", "trusted"), [(0.5, 0.5, False), (0.5, 0.25, True), (0.1, 0.5, True)])
def test_statistics_of_a_processor_are_used_unless_they_are_a_class_default(mean, std, trusted, hugging_face, tmp_path):
    folder, _ = hugging_face
    processor = folder / "preprocessor_config.json"
    given = json.loads(processor.read_text()) | {"image_mean": [mean] * 3, "image_std": [std] * 3}
    processor.write_text(json.dumps(given))
    checkpoint, _ = imported(folder, tmp_path)

    pixels = checkpoint.config.pixels
    assert ((pixels.mean, pixels.std) == ((mean,) * 3, (std,) * 3)) == trusted


def test_a_safetensors_with_a_nan_and_another_architecture_are_errors(hugging_face):
    from safetensors.torch import load_file, save_file

    from models.importers.table import import_source

    folder, _ = hugging_face
    tensors = load_file(folder / "model.safetensors")
    tensors["layernorm.weight"][3] = torch.nan
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(ImporterError, match=r"not finite in target_encoder\.norm\.weight"):
        import_source(str(folder))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "dinov2"}))
    with pytest.raises(ImporterError, match="type 'dinov2', expected 'ijepa'"):
        import_source(str(folder))


def test_a_hub_id_without_a_hub_says_so(monkeypatch):
    import huggingface_hub.constants as constants

    from models.importers.table import import_source

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(HubError, match="cannot be downloaded from the Hugging Face hub"):
        import_source("facebook/ijepa_vith14_1k_that_nobody_has")


def test_an_encoder_alone_makes_a_bundle_that_embeds_and_says_why_it_cannot_predict(hugging_face, tmp_path):
    from fastapi.testclient import TestClient

    from models.export.pipeline import export_bundle
    from service.app import create_app
    from service.settings import read_settings
    from tests.service.conftest import wait_until_ready

    checkpoint, _ = imported(hugging_face[0], tmp_path)
    export_bundle(checkpoint, tmp_path / "bundle", bundle_id="theirs")
    with TestClient(create_app(read_settings(bundle=(str(tmp_path / "bundle"),))), "http://localhost") as client:
        file = tmp_path / "image.png"
        Image.fromarray(IMAGE).save(file)
        body, head = file.read_bytes(), {"content-type": "image/png"}
        wait_until_ready(client)
        embedded = client.post("/v1/images/embeddings", content=body, headers=head)
        predicted = client.post(
            "/v1/predict", content=body, headers=head, params={"targets": '[{"box":[0,0,0.5,0.5]}]'}
        )

    assert len(embedded.json()["data"][0]["embedding"]) == 48
    assert predicted.status_code == 400
    assert predicted.json()["error"]["code"] == "unsupported_option"


@pytest.mark.parametrize(
    ("file", "changed"),
    [
        ("config.json", {"num_attention_heads": "many"}),
        ("config.json", {"num_attention_heads": 10**9}),
        ("config.json", {"layer_norm_eps": "x"}),
        ("config.json", {"image_size": [[1], [2]]}),
        ("config.json", {"hidden_act": {"a": 1}}),
        ("config.json", {"model_type": ["ijepa"] * 1000}),
        ("preprocessor_config.json", {"resample": [2]}),
        ("preprocessor_config.json", {"rescale_factor": "x"}),
        ("preprocessor_config.json", {"image_mean": [[0.5], {}, 1]}),
        ("preprocessor_config.json", {"image_std": [0, 0, 0]}),
    ],
)
def test_a_configuration_of_other_types_is_one_sentence(file, changed, hugging_face):
    from models.importers.table import import_source

    folder, _ = hugging_face
    (folder / file).write_text(json.dumps(json.loads((folder / file).read_text()) | changed))
    with pytest.raises(ImporterError) as error:
        import_source(str(folder), preprocessing="upstream")
    assert len(str(error.value)) < 500


def test_a_deep_or_large_configuration_is_not_read(hugging_face):
    from models.importers.table import import_source

    folder, _ = hugging_face
    for text, message in (("[" * 100_000, "nested deeper"), (" " * 5_000_000, "has 5,000,000 bytes")):
        (folder / "config.json").write_text(text)
        with pytest.raises(ImporterError, match=message):
            import_source(str(folder))
