"""The target encoder: an exponential moving average of the context encoder."""

import torch
from torch import nn


@torch.no_grad()
def ema_update(target: nn.Module, source: nn.Module, momentum: float) -> None:
    """Every parameter of `target` becomes momentum * itself + (1 - momentum) * that of `source`, in float32 (paper section 3)."""
    torch._foreach_lerp_(list(target.parameters()), list(source.parameters()), 1.0 - momentum)
