"""ONNX graphs as files: without stack traces, large weights in a file beside them, stored as float16 where asked."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx_ir as ir

from models.progress import Progress, no_progress

MAX_INLINE_BYTES = 256 * 2**20
"""Weights above this size are stored in a file beside the graph (a graph's own file cannot have more than 2 GB)."""
MIN_FLOAT16_VALUES = 1024
"""Constants with fewer values stay float32."""
EXPORTER_LOGGERS = ("torch.onnx", "onnxscript", "torch.export", "onnx_ir")


@contextmanager
def quiet(*loggers: str) -> Iterator[None]:
    """Without warnings, and without messages of these loggers below errors."""
    named = [logging.getLogger(name) for name in loggers]
    levels = [logger.level for logger in named]
    for logger in named:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(named, levels, strict=True):
            logger.setLevel(level)


def remove_traces(model: ir.Model) -> ir.Model:
    """Remove the exporter's notes on where each node came from: most of a small graph, with paths of this machine."""
    model.metadata_props.clear()
    model.graph.metadata_props.clear()
    ends = {*model.graph.inputs, *model.graph.outputs}
    for node in model.graph:
        node.metadata_props.clear()
        node.doc_string = None
        for value in node.outputs:
            value.metadata_props.clear()
            if value not in ends:  # shapes between nodes, which a runtime infers again
                value.shape, value.type = None, None
    for value in (*ends, *model.graph.initializers.values()):
        value.metadata_props.clear()
        value.doc_string = None
    return model


def save_graph(model: ir.Model, path: Path, progress: Progress = no_progress) -> None:
    """Write a graph. Above `MAX_INLINE_BYTES` its weights are written to `NAME.onnx.data`, aligned so that they can be mapped."""
    size = sum(value.const_value.nbytes for value in model.graph.initializers.values() if value.const_value)
    data = path.with_name(f"{path.name}.data")
    if size <= MAX_INLINE_BYTES and not data.exists():
        ir.external_data.load_to_model(model)  # of a graph that was read with weights beside it
        ir.save(model, path)
        return
    with progress(len(model.graph.initializers), f"writing {path.name}", "tensors") as stage:

        def advance(*_: object) -> None:
            stage.update()

        ir.save(model, path, external_data=data.name, size_threshold_bytes=1024, alignment=4096, callback=advance)


def store_as_float16(path: Path, progress: Progress = no_progress) -> None:
    """Store each large float32 constant that float16 represents exactly as float16, followed by a cast to float32."""
    model = ir.load(path)
    graph = model.graph
    for name, value in list(graph.initializers.items()):
        stored = value.const_value
        if stored is None or stored.dtype != ir.DataType.FLOAT or stored.size < MIN_FLOAT16_VALUES:
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
    with quiet(*EXPORTER_LOGGERS):  # a warning for each tensor that the rewritten file no longer backs
        save_graph(model, path, progress)
