"""The tiny network of the tests. `python tests/golden/make.py` makes the golden bundle from it; its sha256 then changes."""

from pathlib import Path

import torch

from models.checkpoint.record import TrainingRecord
from models.checkpoint.store import read_checkpoint, write_checkpoint
from models.config import EncoderConfig, ModelConfig, PredictorConfig
from models.export.pipeline import export_bundle
from models.images.preprocess import Preprocessing
from models.network.ijepa import IJEPA

HERE = Path(__file__).parent


def tiny_config() -> ModelConfig:
    """A network of a few kB."""
    encoder = EncoderConfig(width=32, depth=4, heads=2, hidden=64, patch_size=4, grid=(4, 4))
    return ModelConfig(
        encoder=encoder, predictor=PredictorConfig(width=16, depth=1, heads=2), pixels=Preprocessing(size=(16, 16))
    )


def tiny_model() -> IJEPA:
    """Random weights; the two encoders differ, as after training."""
    torch.manual_seed(0)
    model = IJEPA(tiny_config())
    with torch.no_grad():
        for parameter in model.context_encoder.parameters():
            if parameter.requires_grad:
                parameter.add_(0.05 * torch.randn_like(parameter))
    return model


def write_tiny_checkpoint(folder: Path) -> Path:
    """A checkpoint of the tiny network."""
    training = TrainingRecord(trained_on="nothing: its weights are random", step=0, total_steps=0, total_images=0)
    write_checkpoint(folder, tiny_config(), tiny_model().state_dict(), training)
    return folder


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        checkpoint = read_checkpoint(write_tiny_checkpoint(Path(folder) / "step"))
        export_bundle(checkpoint, HERE / "bundle", bundle_id="golden", licence="Apache-2.0", weights="float16")
