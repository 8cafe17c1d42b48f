"""The three graphs of a bundle: what they compute, and how they are traced."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

import jaxtyping
import onnx_ir as ir
import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor, nn

from models.bundle.manifest import CONTEXT, ENCODER, PREDICTOR, WHITENED
from models.config import EncoderConfig
from models.export.onnx_files import EXPORTER_LOGGERS, quiet, remove_traces
from models.export.whitening import Whitening
from models.network.encoder import normalise
from models.network.ijepa import IJEPA

OPSET = 20
NO_WHITENINGS: Mapping[str, Whitening] = MappingProxyType({})


class EncoderGraph(nn.Module):
    """`encoder.onnx`: tokens of the target encoder and all poolings. `whitenings` are by the name of the pooling that they whiten."""

    def __init__(self, model: IJEPA, whitenings: Mapping[str, Whitening] = NO_WHITENINGS) -> None:
        super().__init__()
        self.encoder, self.preprocessing = model.target_encoder, model.config.pixels
        self.poolings = poolings_by_width(model.config.encoder, whitenings)
        self.whitenings = nn.ModuleDict({name: _Whiten(whitening) for name, whitening in whitenings.items()})

    def forward(self, pixels: UInt8[Tensor, "B H W C"]) -> tuple[Tensor, ...]:
        """Tokens, then the poolings in the order of `poolings`."""
        blocks = self.encoder.last_blocks(normalise(pixels, self.preprocessing), last=4)
        normed = [self.encoder.norm(x) for x in blocks]
        pools = {"mean": normed[-1].mean(dim=1)}
        if len(normed) == 4:
            pools["last4"] = torch.cat([x.mean(dim=1) for x in normed], dim=1)
        return normed[-1], *pools.values(), *(whiten(pools[name]) for name, whiten in self.whitenings.items())


class _Whiten(nn.Module):
    """A whitening within a graph."""

    mean: Tensor
    matrix: Tensor

    def __init__(self, whitening: Whitening) -> None:
        super().__init__()
        self.register_buffer("mean", torch.from_numpy(whitening.mean))
        self.register_buffer("matrix", torch.from_numpy(whitening.matrix))

    def forward(self, pooled: Float[Tensor, "B D"]) -> Float[Tensor, "B D"]:
        return (pooled - self.mean) @ self.matrix


class ContextGraph(nn.Module):
    """`context.onnx`: tokens of the context patches; the others are dropped before the first block. Id -1 is padding."""

    def __init__(self, model: IJEPA) -> None:
        super().__init__()
        self.encoder, self.preprocessing = model.context_encoder, model.config.pixels

    def forward(self, pixels: UInt8[Tensor, "B H W C"], context_ids: Int64[Tensor, "B K"]) -> Tensor:
        """Tokens after the last norm; those at padding are undefined."""
        mask = (context_ids >= 0)[:, None, None, :]
        return self.encoder(normalise(pixels, self.preprocessing), context_ids.clamp(min=0), mask)


class PredictorGraph(nn.Module):
    """`predictor.onnx`: one target block a row. Id -1 is padding in both lists."""

    def __init__(self, model: IJEPA) -> None:
        super().__init__()
        self.predictor = model.predictor

    def forward(
        self,
        context_tokens: Float[Tensor, "B K D"],
        context_ids: Int64[Tensor, "B K"],
        target_ids: Int64[Tensor, "B T"],
    ) -> Tensor:
        """Predicted tokens, in the space of layer-normed targets."""
        mask = (torch.cat([context_ids, target_ids], dim=1) >= 0)[:, None, None, :]
        return self.predictor(context_tokens, context_ids.clamp(min=0), target_ids.clamp(min=0), mask)


def poolings_by_width(encoder: EncoderConfig, whitened: Iterable[str] = ()) -> dict[str, int]:
    """Poolings and their dimensions: `mean` of the last tokens; `last4`, the concatenated means of the last four blocks' normed
    tokens (paper, appendix A.2); then the whitened forms of those in `whitened`.
    """
    plain = {"mean": encoder.width} | ({"last4": 4 * encoder.width} if encoder.depth >= 4 else {})
    return plain | {name + WHITENED: plain[name] for name in whitened}


def graph_names(model: IJEPA) -> tuple[str, ...]:
    """The graphs of a network: `encoder.onnx` alone for one without context encoder or predictor."""
    return (ENCODER, CONTEXT, PREDICTOR) if model.predicts else (ENCODER,)


def trace(model: IJEPA, name: str, whitenings: Mapping[str, Whitening] = NO_WHITENINGS) -> ir.Model:
    """Trace one graph, with every dynamic axis at least 2 (the exporter specialises axes of size 1)."""
    batch, kept, block = (torch.export.Dim(letter, min=1) for letter in ("B", "K", "T"))
    config = model.config.encoder
    shapes: tuple[dict[int, Any], ...]
    pixels = torch.zeros(3, *config.image_size, config.channels, dtype=torch.uint8)
    context, target = torch.arange(2).repeat(3, 1), torch.arange(2).repeat(3, 1)
    graph: nn.Module
    args: tuple[Tensor, ...]
    if name == ENCODER:
        graph, args, shapes = EncoderGraph(model, whitenings), (pixels,), ({0: batch},)
        inputs, outputs = ["pixels"], ["tokens", *poolings_by_width(config, whitenings)]
    elif name == CONTEXT:
        graph, args, shapes = ContextGraph(model), (pixels, context), ({0: batch}, {0: batch, 1: kept})
        inputs, outputs = ["pixels", "context_ids"], ["context_tokens"]
    else:
        tokens = torch.zeros(3, context.shape[1], config.width)
        graph, args = PredictorGraph(model), (tokens, context, target)
        shapes = ({0: batch, 1: kept}, {0: batch, 1: kept}, {0: batch, 1: block})
        inputs, outputs = ["context_tokens", "context_ids", "target_ids"], ["predicted"]
    with _no_shape_checks(), quiet(*EXPORTER_LOGGERS), torch.no_grad():
        program = torch.onnx.export(
            graph.eval(),
            args,
            dynamo=True,
            dynamic_shapes=shapes,
            input_names=inputs,
            output_names=outputs,
            opset_version=OPSET,
            verbose=False,
        )
    assert program is not None
    return remove_traces(program.model)


@contextmanager
def _no_shape_checks() -> Iterator[None]:
    """Jaxtyping's checks do not work on the exporter's symbolic shapes."""
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        yield
    finally:
        jaxtyping.config.update("jaxtyping_disable", before)


def round_weights(model: nn.Module) -> None:
    """Round every trained matrix to float16, kept as float32. Biases, norms and positions are not rounded."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1 and not name.endswith("pos_embed"):
                parameter.copy_(parameter.half().float())
