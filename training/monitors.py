"""Signals of collapse, and the verdict on a run that ended.

The loss alone says little, as its target moves: RankMe, the spread of the features and the explained variance say more.
"""

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from models.network.encoder import normalise
from models.network.ijepa import IJEPA

MIN_RANKME = 2.0
"""Features of fewer effective dimensions vary along one line: a trained network has tens (the bundled one 48 of 128)."""
MIN_FEATURE_STD = 0.01
"""Tokens have a spread of about 1; a trained network's pooled features have 0.1 to 0.5, and an untrained one's about 0.1."""
MIN_JUDGED_IMAGES = 10
"""Of fewer images rank and spread say nothing: n images have a rank of at most n."""
MIN_EXPLAINED_VARIANCE = 0.0
"""What always predicting the mean of the targets gives."""


def explained_variance(predicted: Float[Tensor, "B M T D"], targets: Float[Tensor, "B M T D"]) -> Float[Tensor, ""]:
    """1 - MSE / variance of the targets: 0 for always predicting their mean, 1 for no error."""
    variance = (targets - targets.mean(dim=(0, 1, 2))).square().mean()
    return 1 - (predicted - targets).square().mean() / variance.clamp_min(1e-12)


def feature_std(features: Float[Tensor, "n D"]) -> float:
    """Standard deviation over images, mean over dimensions. Near 0 all images have the same features; 0 for one image."""
    return float(features.std(dim=0, correction=min(1, len(features) - 1)).mean())


def rankme(features: Float[Tensor, "n D"]) -> float:
    """The effective number of dimensions: the exponential of the entropy of the singular values (RankMe, arXiv 2210.02885).

    At most min(n, D). Near 1 all features lie on a line.
    """
    values = torch.linalg.svdvals(features.cpu().double())
    p = values / values.sum().clamp_min(1e-12) + 1e-7
    return float(torch.exp(-(p * p.log()).sum()))


@torch.no_grad()
def pooled_features(model: IJEPA, pixels: UInt8[np.ndarray, "n H W C"]) -> Float[Tensor, "n D"]:
    """Mean-pooled target-encoder features of images."""
    device = next(model.parameters()).device
    return torch.cat(
        [
            model.target_encoder(normalise(part.to(device), model.config.pixels)).float().mean(dim=1)
            for part in torch.split(torch.from_numpy(pixels), 256)
        ]
    )


def collapse_warning(row: Mapping[str, float], images: int) -> str | None:
    """One sentence about a run whose last log row shows that it learned nothing or collapsed; None for any other.

    `images` is how many are monitored; rank and spread are not judged by fewer than `MIN_JUDGED_IMAGES`.
    """
    collapse = {"rankme": MIN_RANKME, "feature_std": MIN_FEATURE_STD} if images >= MIN_JUDGED_IMAGES else {}
    limits = {"explained_variance": MIN_EXPLAINED_VARIANCE, **collapse}
    low = [
        f"{name} is {row[name]:.3g} (below {limit:g})" for name, limit in limits.items() if row.get(name, limit) < limit
    ]
    if not low:
        return None
    if any(row.get(name, limit) < limit for name, limit in collapse.items()):
        verdict = "the features collapsed"
        advice = "try a lower optim.lr, optim.ema nearer to 1, a longer optim.warmup, or more varied images"
    else:
        verdict = "the network predicts worse than the mean of the targets does"
        advice = "train longer (optim.epochs, or smaller optim.batch_size for more steps), or try a lower optim.lr"
    return f"{verdict}: {', '.join(low)}; {advice}"
