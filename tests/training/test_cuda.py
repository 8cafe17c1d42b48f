"""Training on a GPU."""

import pytest

pytestmark = pytest.mark.gpu


def test_first_steps_have_the_losses_of_the_cpu(tmp_path):
    import torch

    from training.recipes import configure
    from training.trainer import Trainer

    if not torch.cuda.is_available():
        pytest.skip("PyTorch has no CUDA device")
    losses = {}
    for device in ("cpu", "cuda"):
        settings = [f"run.device={device}", "optim.precision=float32", "data.uri=synthetic:64"]
        trainer = Trainer(configure("debug", settings), tmp_path / device)
        batches = trainer.batches.stream(0, 3, 1)
        losses[device] = [float(trainer.take_step(batch).loss) for batch in batches]
    assert losses["cuda"] == pytest.approx(losses["cpu"], rel=1e-3)
