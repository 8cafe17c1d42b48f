"""The proof that a graph gives torch's numbers, and the canonical picture by which a server proves it again."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8

from models.bundle import CONTEXT, ENCODER, PREDICTOR, WHITENED, Parity, variant_file
from models.errors import ExportError
from models.graphs import NOTHING_WHITENED, ContextGraph, EncoderGraph, PredictorGraph
from models.ijepa import IJEPA
from models.session import Session
from models.whitening import Whitening


class Reference:
    """What torch says, on the canonical picture and on fixed seeded ones, and how far a session is from it."""

    def __init__(self, model: IJEPA, whitenings: Mapping[str, Whitening] = NOTHING_WHITENED, seed: int = 0) -> None:
        self.model, self.encoder = model, EncoderGraph(model, whitenings)
        config = model.config.encoder
        draw = np.random.default_rng(seed)
        height, width = config.image_size
        self.pixels = np.stack(
            [canonical_picture(height, width, config.channels)]
            + [draw.integers(0, 256, (height, width, config.channels), dtype=np.uint8) for _ in range(7)]
        )
        kept = max(2, config.patches // 3)
        order = np.stack([draw.permutation(config.patches) for _ in self.pixels])
        self.context_ids = np.sort(order[:, :kept], axis=1)
        self.target_ids = np.sort(order[:, kept : kept + max(1, config.patches // 6)], axis=1)

    @torch.no_grad()
    def outputs(self, name: str, pixels: np.ndarray, context: np.ndarray, target: np.ndarray) -> list[np.ndarray]:
        """Torch's numbers for a graph."""
        x, k, t = torch.from_numpy(pixels), torch.from_numpy(context), torch.from_numpy(target)
        if name == ENCODER:
            return [y.numpy() for y in self.encoder(x)]
        tokens = ContextGraph(self.model)(x, k)
        return [tokens.numpy() if name == CONTEXT else PredictorGraph(self.model)(tokens, k, t).numpy()]

    def inputs(self, name: str, pixels: np.ndarray, context: np.ndarray, target: np.ndarray) -> dict[str, np.ndarray]:
        """The same inputs under the graph's names."""
        if name == ENCODER:
            return {"pixels": pixels}
        if name == CONTEXT:
            return {"pixels": pixels, "context_ids": context}
        tokens = self.outputs(CONTEXT, pixels, context, target)[0]
        return {"context_tokens": tokens, "context_ids": context, "target_ids": target}

    def parity(self, name: str, session: Session) -> Parity:
        """Compare on all pictures, on one with one patch of each kind, and with padding.

        Raises:
            ExportError: the difference is above 1e-4 x max(1, RMS of the reference).
        """
        everything = (self.pixels, self.context_ids, self.target_ids)
        single = (self.pixels[:1], self.context_ids[:1, :1], self.target_ids[:1, :1])
        worst, rms = 0.0, 0.0
        for args in (everything, single):
            expected = self.outputs(name, *args)
            given = session.run(session.outputs, **self.inputs(name, *args))
            if not all(np.isfinite(array).all() for array in (*expected, *given)):
                raise ExportError(f"{name} gives numbers that are not finite; nothing was written")
            worst = max(worst, *(float(np.abs(a - b).max()) for a, b in zip(expected, given, strict=True)))
            rms = max(rms, float(np.sqrt(np.mean(np.square(expected[0])))))
        if name != ENCODER:
            worst = max(worst, self._padding_error(name, session))
        allowed = 1e-4 * max(1.0, rms)
        if not worst <= allowed:
            raise ExportError(
                f"{name} is off torch's numbers by {worst:.2e}, more than {allowed:.2e}; nothing was written"
            )
        return Parity(max_difference=worst, reference_rms=rms, allowed=allowed)

    def _padding_error(self, name: str, session: Session) -> float:
        """How far the numbers move when both id lists are padded with -1."""
        inputs = self.inputs(name, self.pixels, self.context_ids, self.target_ids)
        padded = {key: _pad(value) if key != "pixels" else value for key, value in inputs.items()}
        (plain,), (more,) = session.run(session.outputs, **inputs), session.run(session.outputs, **padded)
        return float(np.abs(plain - more[:, : plain.shape[1]]).max())

    def canonical(self) -> dict[str, np.ndarray]:
        """The picture, its tokens and poolings, and one region's prediction, as torch has them."""
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


def canonical_tolerance(folder: Path, precision: str, graphs: Sequence[str], canonical: dict[str, np.ndarray]) -> float:
    """Twice what a precision's numbers for the canonical picture differ by here, over max(1, RMS): other machines round otherwise.

    Whitened poolings do not count (see `Manifest.checked`).
    """
    one = {name: canonical[name][None] for name in ("pixels", "context_ids", "target_ids") if name in canonical}
    outputs: dict[str, np.ndarray] = {}
    for name in graphs:
        session = Session(folder / variant_file(name, precision))
        inputs = {key: (one | outputs)[key] for key in session.inputs}
        outputs |= dict(zip(session.outputs, session.run(session.outputs, **inputs), strict=True))
    names = [name for name in outputs if name in canonical and not name.endswith(WHITENED)]
    worst = max(float(np.abs(outputs[name][0] - canonical[name]).max()) for name in names)
    return 2 * worst / max(1.0, float(np.sqrt(np.mean(np.square(canonical["tokens"])))))


def canonical_picture(height: int, width: int, channels: int) -> UInt8[np.ndarray, "H W C"]:
    """A picture that is the same everywhere: a bright disc with a dark bar on a coloured slope."""
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    disc = (x - 0.45) ** 2 + (y - 0.5) ** 2 < 0.09
    bar = disc & (abs(y - 0.5) < 0.08)
    planes = [
        np.where(bar, 40, np.where(disc, 220 - 30 * c, 60 + 25 * c + 60 * (x if c % 2 else y))) for c in range(channels)
    ]
    return np.stack(planes, axis=-1).astype(np.uint8)


def _pad(values: np.ndarray) -> np.ndarray:
    """Two more entries along axis 1: -1 for ids, zeros for tokens."""
    fill = -1 if values.dtype == np.int64 else 0
    widths = [(0, 0), (0, 2), *[(0, 0)] * (values.ndim - 2)]
    return np.pad(values, widths, constant_values=fill)
