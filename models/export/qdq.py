"""int8 graphs in QDQ form: pairs of QuantizeLinear and DequantizeLinear around products, which runtimes compute in integers."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from models.export.gptq import Int8Weight
from models.export.onnx_files import save_graph

Inputs = dict[str, np.ndarray]
Feed = Callable[[], Iterator[Inputs]]
"""Batches of a graph's inputs, from the start at each call."""


class Int8Product(NamedTuple):
    """A product in int8: its weight, and the lowest and highest activation that its uint8 inputs represent."""

    weight: Int8Weight
    minimum: float
    maximum: float


def write_qdq(source: Path, out: Path, products: Mapping[str, Int8Product]) -> None:
    """Write a float32 graph with these of its products, by the name of the node, in int8."""
    model = ir.load(source)
    for product in products_with_weights(model.graph):
        if _name(product) in products:
            _quantize(model.graph, product, products[_name(product)])
    RemoveUnusedNodesPass()(model)
    save_graph(model, out)


def products_with_weights(graph: ir.Graph) -> list[ir.Node]:
    """The products of activations and a constant matrix, in order, without whitenings.

    A whitening amplifies small values, and rounding errors with them.
    """
    return [
        node
        for node in graph
        if node.op_type == "MatMul"
        and (weight := constant(node.inputs[1])) is not None
        and len(weight.shape) == 2
        and not _name(node.inputs[1]).startswith("whitenings.")
    ]


def weight_of(product: ir.Node) -> np.ndarray:
    """The weight of a product of `products_with_weights`, `[D, E]`, in float32."""
    weight = constant(product.inputs[1])
    assert weight is not None
    return weight.numpy().astype(np.float32, copy=False)


def constant(value: ir.Value | None) -> ir.TensorProtocol | None:
    """An initializer, also one that is stored as float16 and cast (`store_as_float16`); None for other values."""
    producer = value.producer() if value else None
    if producer and producer.op_type == "Cast":
        value = producer.inputs[0]
    return value.const_value if value else None


def _quantize(graph: ir.Graph, product: ir.Node, int8: Int8Product) -> None:
    """Replace both inputs of a product by dequantised integers, and correct its bias."""
    name = _name(product)
    scale, zero = uint8_range(int8.minimum, int8.maximum)
    parameters = [_initializer(graph, f"{name}.{key}", x) for key, x in (("input_scale", scale), ("input_zero", zero))]
    integers, channel_scale, correction = int8.weight
    stored = [
        _initializer(graph, f"{name}.weight_integers", integers),
        _initializer(graph, f"{name}.weight_scale", channel_scale),
        _initializer(graph, f"{name}.weight_zero", np.zeros(len(channel_scale), np.int8)),
    ]
    to = ir.node("QuantizeLinear", [product.inputs[0], *parameters], name=f"{name}.quantize")
    back = ir.node("DequantizeLinear", [to.outputs[0], *parameters], name=f"{name}.dequantize")
    weight = ir.node("DequantizeLinear", stored, attributes={"axis": 1}, name=f"{name}.dequantize_weight")
    for node, result in ((to, "input_integers"), (back, "input"), (weight, "weight")):
        node.outputs[0].name = f"{name}.{result}"
    graph.insert_before(product, [to, back, weight])
    product.replace_input_with(0, back.outputs[0])
    product.replace_input_with(1, weight.outputs[0])
    _add_to_bias(graph, product, correction)


def _add_to_bias(graph: ir.Graph, product: ir.Node, correction: np.ndarray) -> None:
    """Add a vector to the bias of a product; a product without a bias gets one."""
    (output,) = product.outputs
    uses = list(output.uses())
    if len(uses) == 1 and uses[0].node.op_type == "Add" and not output.is_graph_output():
        add, index = uses[0].node, 1 - uses[0].idx
        bias = constant(add.inputs[index])
        if bias is not None and tuple(bias.shape) == correction.shape:
            summed = bias.numpy().astype(np.float32) + correction
            add.replace_input_with(index, _initializer(graph, f"{_name(product)}.bias", summed))
            return
    add = ir.node(
        "Add", [output, _initializer(graph, f"{_name(product)}.bias", correction)], name=f"{product.name}.add"
    )
    graph.insert_after(product, add)
    result, name = add.outputs[0], output.name
    ir.convenience.replace_all_uses_with(output, result, replace_graph_outputs=True)
    add.replace_input_with(0, output)
    result.type, result.shape = output.type, output.shape
    output.name, result.name = f"{product.name}.product", name


def uint8_range(minimum: float, maximum: float) -> tuple[np.ndarray, np.ndarray]:
    """Scale (float32) and zero point (uint8) of integers that represent this range, and zero exactly."""
    low, high = min(minimum, 0.0), max(maximum, 0.0)
    scale = np.float32((high - low) / 255 or 1.0)
    return np.array(scale), np.array(np.rint(-low / scale), np.uint8)


def _initializer(graph: ir.Graph, name: str, array: np.ndarray) -> ir.Value:
    tensor = ir.tensor(array, name=name)
    value = ir.Value(name=name, shape=ir.Shape(array.shape), type=ir.TensorType(tensor.dtype), const_value=tensor)
    graph.register_initializer(value)
    return value


def _name(named: ir.Node | ir.Value | None) -> str:
    assert named is not None
    assert named.name is not None
    return named.name
