"""Sources of weights: Meta's file, and a folder of transformers."""

import pytest
import torch

from tests.models.importers import meta_layout


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
