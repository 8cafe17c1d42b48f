"""bfloat16 without a machine that has it: a float32 graph that rounds to bfloat16 where OpenVINO on a CPU does.

Rounded are the weights of products and of the convolution, and the results of the operations of `ROUNDED`: what enters a
product, and the residual stream. The operations themselves compute in float32, as the units for bfloat16 accumulate. Not
rounded is what a runtime fuses into the next operation: a product before its bias is added, and the division of the pixels by
their standard deviation.
"""

from pathlib import Path

import onnx_ir as ir
from onnx_ir.passes.common import ShapeInferencePass

from models.export.onnx_files import save_graph
from models.export.qdq import Feed, constant

ROUNDED = frozenset(("Add", "Conv", "Gelu", "LayerNormalization", "ReduceMean", "Softmax", "Sub"))


def write_bfloat16(source: Path, out: Path, _: Feed) -> None:
    """Write a float32 graph with the rounding of bfloat16; inputs, outputs and operations stay float32."""
    model = ir.load(source)
    ShapeInferencePass()(model)  # operations on ids are told by the type of their result
    for node in list(model.graph):
        if node.op_type in ("MatMul", "Conv") and constant(node.inputs[1]) is not None:
            to, back = _rounding(node.inputs[1], f"{node.name}.weight")
            model.graph.insert_before(node, [to, back])
            node.replace_input_with(1, back.outputs[0])
        if node.op_type in ROUNDED and node.outputs[0].dtype == ir.DataType.FLOAT:
            _round_result(model.graph, node)
    save_graph(model, out)


def _round_result(graph: ir.Graph, node: ir.Node) -> None:
    (result,) = node.outputs
    to, back = _rounding(result, f"{node.name}.result")
    graph.insert_after(node, [to, back])
    rounded, name = back.outputs[0], result.name
    ir.convenience.replace_all_uses_with(result, rounded, replace_graph_outputs=True)
    to.replace_input_with(0, result)
    if rounded.is_graph_output():
        result.name, rounded.name = f"{name}.float32", name
        rounded.type, rounded.shape = result.type, result.shape


def _rounding(value: ir.Value | None, name: str) -> tuple[ir.Node, ir.Node]:
    """Casts to bfloat16 and back."""
    to = ir.node("Cast", [value], attributes={"to": ir.DataType.BFLOAT16}, name=f"{name}.to_bfloat16")
    back = ir.node("Cast", to.outputs, attributes={"to": ir.DataType.FLOAT}, name=f"{name}.to_float32")
    to.outputs[0].name, back.outputs[0].name = f"{name}.bfloat16", f"{name}.rounded"
    return to, back
