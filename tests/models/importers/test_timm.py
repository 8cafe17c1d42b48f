import torch
from PIL import Image

from tests.models.importers.helpers import IMAGE, close, imported, published_by_timm


@torch.no_grad()
def test_a_timm_model_gives_its_outputs(tmp_path, monkeypatch):
    import timm

    from models.images.preprocess import to_pixels

    settings = {"img_size": 32, "patch_size": 8, "embed_dim": 48, "depth": 4, "num_heads": 3}
    theirs = published_by_timm(tmp_path, monkeypatch, **settings)
    image = Image.fromarray(IMAGE)
    transform = timm.data.create_transform(**{**timm.data.resolve_model_data_config(theirs), "input_size": (3, 32, 32)})  # type: ignore[attr-defined]
    checkpoint, model = imported("timm:vit_huge_patch14_gap_224.in1k_ijepa", tmp_path, preprocessing="upstream")
    pixels = to_pixels(image, checkpoint.config.pixels)

    from models.network.encoder import normalise

    ours = normalise(torch.from_numpy(pixels)[None], checkpoint.config.pixels)
    assert close(ours, transform(image)[None])
    assert close(model.target_encoder(ours), theirs.forward_features(transform(image)[None]))
    assert checkpoint.training.licence == "CC-BY-NC-4.0"
    assert "ImageNet-1k" in checkpoint.training.trained_on
