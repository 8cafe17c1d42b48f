"""What the tests of importers share."""

from pathlib import Path

import numpy as np
import torch

IMAGE = np.random.default_rng(5).integers(0, 256, (61, 47, 3), dtype=np.uint8)


def close(given, expected):
    """Parity: max abs difference at most 1e-4 x max(1, RMS)."""
    return float((given - expected).abs().max()) <= 1e-4 * max(1.0, float(expected.square().mean().sqrt()))


def imported(source, tmp_path, **options):
    """A source as `ijepa import` writes it, read back."""
    from models.checkpoint.store import load_model, read_checkpoint, write_checkpoint
    from models.importers.table import import_source

    found = import_source(str(source), **options)
    write_checkpoint(tmp_path / "imported", found.config, found.tensors, found.training)
    checkpoint = read_checkpoint(tmp_path / "imported")
    return checkpoint, load_model(checkpoint).eval()


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
    torch.save({"encoder": encoder, "predictor": {}, "epoch": 1}, hub / "hub" / "checkpoints" / Path(str(url)).name)
    return timm.create_model(name, pretrained=True).eval()
