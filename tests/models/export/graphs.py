"""A small graph for tests of quantisation."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

PRODUCTS = ("p0", "p1", "p2", "p3")
WIDTHS = (8, 32, 32, 32, 6)


def save_mlp(path, *, bias=True, half=False, hot=False):
    """`x [B, T, 8] -> y [B, T, 6]`: four products, ReLU between them; weights stored as float16 with `half`.

    With `hot` the third product has one input that is hundreds of times as large as the others, and no weight.
    """
    draw = np.random.default_rng(0)
    weights = {f"w{i}": draw.normal(size=WIDTHS[i : i + 2]) / WIDTHS[i] ** 0.5 for i in range(4)}
    biases = {f"b{i}": draw.normal(size=WIDTHS[i + 1]) for i in range(3)}
    if hot:
        biases["b1"][0], weights["w2"][0] = 300, 0
    nodes, initializers, previous = [], [], "x"
    for name, values in (weights | biases).items():
        value = values.astype(np.float16).astype(np.float32)
        if half and name in weights:
            initializers.append(numpy_helper.from_array(value.astype(np.float16), f"{name}.float16"))
            nodes.append(helper.make_node("Cast", [f"{name}.float16"], [name], to=TensorProto.FLOAT))
        else:
            initializers.append(numpy_helper.from_array(value, name))
    for i in range(4):
        result = "y" if i == 3 else f"h{i}"
        nodes.append(helper.make_node("MatMul", [previous, f"w{i}"], [result], name=f"p{i}"))
        if i < 3 and bias:
            nodes.append(helper.make_node("Add", [f"b{i}", result], [f"s{i}"], name=f"a{i}"))
        if i < 3:
            nodes.append(helper.make_node("Relu", [f"s{i}" if bias else result], [f"r{i}"], name=f"relu{i}"))
        previous = f"r{i}"
    used = {name for node in nodes for name in node.input}
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["B", "T", width])
        for name, width in (("x", 8), ("y", 6))
    ]
    kept = [tensor for tensor in initializers if tensor.name in used]
    graph = helper.make_graph(nodes, "mlp", ends[:1], ends[1:], kept)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)
    return path


def batches(count=4, seed=0):
    """Inputs of the graph, the same at each call."""
    draw = np.random.default_rng(seed)
    return [{"x": draw.normal(0.5, 1, (32, 5, 8)).astype(np.float32)} for _ in range(count)]
