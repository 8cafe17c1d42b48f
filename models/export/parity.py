"""Parity of the exported graphs with PyTorch, and the canonical image by which a server checks it again."""

from collections.abc import Mapping

import numpy as np
import torch

from models.bundle.manifest import CONTEXT, ENCODER, PREDICTOR, Parity
from models.errors import ExportError
from models.export.graphs import NO_WHITENINGS, ContextGraph, EncoderGraph, PredictorGraph
from models.export.whitening import Whitening
from models.inference.canonical import canonical_image
from models.network.ijepa import IJEPA
from models.runtimes.onnxruntime import Session

Arrays = dict[str, np.ndarray]
TOLERANCE = 1e-4
"""Allowed max abs difference between float32 outputs of two implementations, times max(1, RMS of the reference)."""


class Reference:
    """Inputs for the comparison, the canonical image and seven seeded ones, and PyTorch's outputs for them."""

    def __init__(self, model: IJEPA, whitenings: Mapping[str, Whitening] = NO_WHITENINGS, seed: int = 0) -> None:
        self.model, self.encoder = model, EncoderGraph(model, whitenings)
        config = model.config.encoder
        draw = np.random.default_rng(seed)
        height, width = config.image_size
        self.pixels = np.stack(
            [canonical_image(height, width, config.channels)]
            + [draw.integers(0, 256, (height, width, config.channels), dtype=np.uint8) for _ in range(7)]
        )
        kept = max(2, config.patches // 3)
        order = np.stack([draw.permutation(config.patches) for _ in self.pixels])
        self.context_ids = np.sort(order[:, :kept], axis=1)
        self.target_ids = np.sort(order[:, kept : kept + max(1, config.patches // 6)], axis=1)

    @torch.no_grad()
    def outputs(self, name: str, pixels: np.ndarray, context: np.ndarray, target: np.ndarray) -> list[np.ndarray]:
        """PyTorch's outputs of a graph."""
        x, k, t = torch.from_numpy(pixels), torch.from_numpy(context), torch.from_numpy(target)
        if name == ENCODER:
            return [y.numpy() for y in self.encoder(x)]
        tokens = ContextGraph(self.model)(x, k)
        return [tokens.numpy() if name == CONTEXT else PredictorGraph(self.model)(tokens, k, t).numpy()]

    def inputs(self, name: str, pixels: np.ndarray, context: np.ndarray, target: np.ndarray) -> Arrays:
        """The same inputs by the graph's input names."""
        if name == ENCODER:
            return {"pixels": pixels}
        if name == CONTEXT:
            return {"pixels": pixels, "context_ids": context}
        tokens = self.outputs(CONTEXT, pixels, context, target)[0]
        return {"context_tokens": tokens, "context_ids": context, "target_ids": target}

    def parity(self, name: str, session: Session) -> Parity:
        """Compare on all images, on one image with one context and one target patch, and with padded ids.

        Raises:
            ExportError: outputs that are not finite, or a difference above 1e-4 x max(1, RMS of the reference).
        """
        everything = (self.pixels, self.context_ids, self.target_ids)
        single = (self.pixels[:1], self.context_ids[:1, :1], self.target_ids[:1, :1])
        worst, rms = 0.0, 0.0
        for args in (everything, single):
            expected = self.outputs(name, *args)
            given = session.run(session.outputs, **self.inputs(name, *args))
            if not all(np.isfinite(array).all() for array in (*expected, *given)):
                raise ExportError(f"{name} has outputs that are not finite; nothing was written")
            worst = max(worst, *(float(np.abs(a - b).max()) for a, b in zip(expected, given, strict=True)))
            rms = max(rms, float(np.sqrt(np.mean(np.square(expected[0])))))
        if name != ENCODER:
            worst = max(worst, self._padding_error(name, session))
        allowed = TOLERANCE * max(1.0, rms)
        if not worst <= allowed:
            raise ExportError(
                f"{name}: max abs difference from PyTorch is {worst:.2e}, allowed is {allowed:.2e}; nothing was written"
            )
        return Parity(max_difference=worst, reference_rms=rms, allowed=allowed)

    def _padding_error(self, name: str, session: Session) -> float:
        """Max abs difference of the outputs when both lists of ids are padded with -1."""
        inputs = self.inputs(name, self.pixels, self.context_ids, self.target_ids)
        padded = {key: _pad(value) if key != "pixels" else value for key, value in inputs.items()}
        (plain,), (more,) = session.run(session.outputs, **inputs), session.run(session.outputs, **padded)
        return float(np.abs(plain - more[:, : plain.shape[1]]).max())

    def canonical(self) -> Arrays:
        """PyTorch's outputs for the canonical image: tokens, poolings, and the prediction of one region."""
        one = (self.pixels[:1], self.context_ids[:1], self.target_ids[:1])
        tokens, *pools = self.outputs(ENCODER, *one)
        named = dict(zip(self.encoder.poolings, pools, strict=True))
        canonical = {"pixels": self.pixels[0], "tokens": tokens[0]} | {name: pool[0] for name, pool in named.items()}
        if self.model.predicts:
            canonical |= {
                "context_ids": self.context_ids[0],
                "target_ids": self.target_ids[0],
                "predicted": self.outputs(PREDICTOR, *one)[0][0],
            }
        return canonical


def _pad(values: np.ndarray) -> np.ndarray:
    """Two more entries along axis 1: -1 for ids, zeros for tokens."""
    fill = -1 if values.dtype == np.int64 else 0
    widths = [(0, 0), (0, 2), *[(0, 0)] * (values.ndim - 2)]
    return np.pad(values, widths, constant_values=fill)
