"""The three graphs of a bundle: what they compute, and how they are traced and stored."""

import logging
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import jaxtyping
import numpy as np
import onnx_ir as ir
import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor, nn

from models.bundle import CONTEXT, ENCODER, PREDICTOR, WHITENED
from models.config import EncoderConfig
from models.encoder import normalise
from models.ijepa import IJEPA
from models.progress import progress
from models.whitening import Whitening

OPSET = 20
INLINE = 256 * 2**20
"""Bytes of weights that a graph's own file may hold (a file of more than 2 GB cannot be one)."""
NOTHING_WHITENED: Mapping[str, Whitening] = MappingProxyType({})


class EncoderGraph(nn.Module):
    """`encoder.onnx`: tokens of the target encoder and every pooling of them. `whitenings` are by the pooling that they whiten."""

    def __init__(self, model: IJEPA, whitenings: Mapping[str, Whitening] = NOTHING_WHITENED) -> None:
        super().__init__()
        self.encoder, self.recipe = model.target_encoder, model.config.pixels
        self.poolings = poolings_of(model.config.encoder, whitenings)
        self.whitenings = nn.ModuleDict({name: _Whiten(whitening) for name, whitening in whitenings.items()})

    def forward(self, pixels: UInt8[Tensor, "B H W C"]) -> tuple[Tensor, ...]:
        """Tokens, then the poolings in the order of `poolings`."""
        normed = [self.encoder.norm(x) for x in self.encoder.blocks_of(normalise(pixels, self.recipe), last=4)]
        pools = {"mean": normed[-1].mean(dim=1)}
        if len(normed) == 4:
            pools["last4"] = torch.cat([x.mean(dim=1) for x in normed], dim=1)
        return normed[-1], *pools.values(), *(whiten(pools[name]) for name, whiten in self.whitenings.items())


class _Whiten(nn.Module):
    """A whitening as a part of a graph."""

    mean: Tensor
    matrix: Tensor

    def __init__(self, whitening: Whitening) -> None:
        super().__init__()
        self.register_buffer("mean", torch.from_numpy(whitening.mean))
        self.register_buffer("matrix", torch.from_numpy(whitening.matrix))

    def forward(self, pooled: Float[Tensor, "B D"]) -> Float[Tensor, "B D"]:
        return (pooled - self.mean) @ self.matrix


class ContextGraph(nn.Module):
    """`context.onnx`: tokens of the kept patches, the others dropped before the first block. Id -1 is padding."""

    def __init__(self, model: IJEPA) -> None:
        super().__init__()
        self.encoder, self.recipe = model.context_encoder, model.config.pixels

    def forward(self, pixels: UInt8[Tensor, "B H W C"], context_ids: Int64[Tensor, "B K"]) -> Tensor:
        """Tokens after the last norm; those of padding mean nothing."""
        mask = (context_ids >= 0)[:, None, None, :]
        return self.encoder(normalise(pixels, self.recipe), context_ids.clamp(min=0), mask)


class PredictorGraph(nn.Module):
    """`predictor.onnx`: one target block a row. Id -1 is padding in either list."""

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


def poolings_of(encoder: EncoderConfig, whitened: Iterable[str] = ()) -> dict[str, int]:
    """Poolings and their widths: the mean of the last tokens; the means of the last four blocks' tokens, each normed (paper, A.2);
    then the whitened ones of these.
    """
    plain = {"mean": encoder.width} | ({"last4": 4 * encoder.width} if encoder.depth >= 4 else {})
    return plain | {name + WHITENED: plain[name] for name in whitened}


def graphs_of(model: IJEPA) -> tuple[str, ...]:
    """The graphs that a network has: without context encoder or predictor, the encoder's alone."""
    return (ENCODER, CONTEXT, PREDICTOR) if model.predicts else (ENCODER,)


def trace(model: IJEPA, name: str, whitenings: Mapping[str, Whitening] = NOTHING_WHITENED) -> ir.Model:
    """One graph, traced with every dynamic axis at least 2 (the exporter would freeze an axis of 1), without its stack traces."""
    batch, kept, block = (torch.export.Dim(letter, min=1) for letter in ("B", "K", "T"))
    config = model.config.encoder
    shapes: tuple[dict[int, Any], ...]
    pixels = torch.zeros(3, *config.image_size, config.channels, dtype=torch.uint8)
    context, target = torch.arange(2).repeat(3, 1), torch.arange(2).repeat(3, 1)
    graph: nn.Module
    args: tuple[Tensor, ...]
    if name == ENCODER:
        graph, args, shapes = EncoderGraph(model, whitenings), (pixels,), ({0: batch},)
        inputs, outputs = ["pixels"], ["tokens", *poolings_of(config, whitenings)]
    elif name == CONTEXT:
        graph, args, shapes = ContextGraph(model), (pixels, context), ({0: batch}, {0: batch, 1: kept})
        inputs, outputs = ["pixels", "context_ids"], ["context_tokens"]
    else:
        tokens = torch.zeros(3, context.shape[1], config.width)
        graph, args = PredictorGraph(model), (tokens, context, target)
        shapes = ({0: batch, 1: kept}, {0: batch, 1: kept}, {0: batch, 1: block})
        inputs, outputs = ["context_tokens", "context_ids", "target_ids"], ["predicted"]
    with _quiet_exporter(), torch.no_grad():
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
    return without_traces(program.model)


def without_traces(model: ir.Model) -> ir.Model:
    """Without what the exporter notes of where each node came from: it is most of a small graph, and names files of this machine."""
    model.metadata_props.clear()
    model.graph.metadata_props.clear()
    ends = {*model.graph.inputs, *model.graph.outputs}
    for node in model.graph:
        node.metadata_props.clear()
        node.doc_string = None
        for value in node.outputs:
            value.metadata_props.clear()
            if value not in ends:  # the shapes between nodes, which a runtime finds again
                value.shape, value.type = None, None
    for value in (*ends, *model.graph.initializers.values()):
        value.metadata_props.clear()
        value.doc_string = None
    return model


def save_graph(model: ir.Model, path: Path) -> None:
    """Write a graph; one with more than `INLINE` bytes of weights keeps them in a file beside it, from which they can be mapped."""
    size = sum(value.const_value.nbytes for value in model.graph.initializers.values() if value.const_value)
    if size <= INLINE and not path.with_name(f"{path.name}.data").exists():
        ir.save(model, path)
        return
    with progress(len(model.graph.initializers), f"writing {path.name}", "tensors") as bar:

        def advance(*_: object) -> None:
            bar.update()

        ir.save(
            model,
            path,
            external_data=f"{path.name}.data",
            size_threshold_bytes=1024,
            alignment=4096,
            callback=advance,
        )


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """No shape checks inside the trace, and no chatter of the exporter."""
    before = jaxtyping.config.jaxtyping_disable
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "torch.export", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    jaxtyping.config.update("jaxtyping_disable", True)
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        jaxtyping.config.update("jaxtyping_disable", before)
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def round_weights(model: nn.Module) -> None:
    """Round every learned matrix to the nearest float16, still held as float32."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1 and not name.endswith("pos_embed"):
                parameter.copy_(parameter.half().float())


def store_as_float16(path: Path) -> None:
    """Hold as float16, with a cast behind, every large float32 constant of a written graph that loses nothing by it."""
    model = ir.load(path)
    graph = model.graph
    for name, value in list(graph.initializers.items()):
        stored = value.const_value
        if stored is None or stored.dtype != ir.DataType.FLOAT or stored.size < 1024:
            continue
        halves = stored.numpy().astype(np.float16)
        if not np.array_equal(halves, stored.numpy()):
            continue
        held = ir.Value(name=f"{name}.float16", const_value=ir.tensor(halves, name=f"{name}.float16"))
        held.shape, held.type = value.shape, ir.TensorType(ir.DataType.FLOAT16)
        cast = ir.node("Cast", [held], attributes={"to": ir.DataType.FLOAT})
        graph.insert_before(graph[0], cast)
        del graph.initializers[name]
        ir.convenience.replace_all_uses_with(value, cast.outputs[0])
        cast.outputs[0].name = name
        graph.register_initializer(held)
    with _quiet_exporter():  # which would tell of each tensor that the rewritten file no longer backs
        save_graph(model, path)
