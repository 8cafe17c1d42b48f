"""AdamW over the context encoder and the predictor."""

import torch
from torch import nn

from training.config import OptimConfig
from training.schedules import Rates


def make_optimizer(model: nn.Module, config: OptimConfig) -> torch.optim.AdamW:
    """Weights decay; biases, norms and the mask token do not (the published code decays its mask token)."""
    learning = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    matrices = [p for name, p in learning if p.ndim > 1 and not name.endswith("mask_token")]
    vectors = [p for name, p in learning if p.ndim == 1 or name.endswith("mask_token")]
    groups = [{"params": matrices, "decays": True}, {"params": vectors, "decays": False, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=config.lr, betas=config.betas, fused=True)


def set_rates(optimizer: torch.optim.Optimizer, rates: Rates) -> None:
    """Set the learning rate and weight decay of the next step."""
    for group in optimizer.param_groups:
        group["lr"] = rates.lr
        if group["decays"]:
            group["weight_decay"] = rates.weight_decay
