"""Which files a graph takes weights from, wherever in it a tensor stands; bytes that are not a graph."""

import onnx
import pytest
from onnx import TensorProto, helper

from models.bundle.external_data import MAX_FIELDS, external_files


def tensor(location):
    made = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[2], data_location=TensorProto.EXTERNAL)
    for key, value in (("location", location), ("offset", "0"), ("length", "8")):
        made.external_data.add(key=key, value=value)
    return made


def in_an_initializer(model, found):
    model.graph.initializer.append(found)


def in_a_sparse_initializer(model, found):
    model.graph.sparse_initializer.add().values.CopyFrom(found)


def in_an_attribute(model, found):
    model.graph.node.append(helper.make_node("Constant", [], ["c"], value=found))


def in_a_list_of_tensors(model, found):
    model.graph.node.append(helper.make_node("Custom", [], ["c"], values=[found]))


def in_an_inner_graph(model, found):
    inner = helper.make_graph([], "inner", [], [], initializer=[found])
    model.graph.node.append(helper.make_node("If", ["x"], ["y"], then_branch=inner, else_branch=inner))


def in_a_function(model, found):
    model.functions.add(name="f", domain="d").node.append(helper.make_node("Constant", [], ["c"], value=found))


def in_the_training(model, found):
    model.training_info.add().initialization.initializer.append(found)


PLACES = [
    in_an_initializer, in_a_sparse_initializer, in_an_attribute, in_a_list_of_tensors, in_an_inner_graph, in_a_function,
    in_the_training,
]  # fmt: skip


def graph():
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])]
    inline = helper.make_tensor("inline", TensorProto.FLOAT, [2], b"location", raw=True)
    return helper.make_model(helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", inputs, [], [inline]))


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
def test_a_file_is_found_wherever_its_tensor_stands(place, tmp_path):
    model = graph()
    place(model, tensor("sub/w.data"))
    onnx.save(model, tmp_path / "graph.onnx")
    assert external_files(tmp_path / "graph.onnx") == {"sub/w.data"}


def test_a_graph_with_its_weights_inside_names_no_file(golden, tmp_path):
    onnx.save(graph(), tmp_path / "graph.onnx")
    assert external_files(tmp_path / "graph.onnx") == set()
    for name in ("encoder", "context", "predictor"):
        assert external_files(golden / f"{name}.onnx") == set()


def test_a_graph_that_was_compiled_for_a_device_is_an_error(tmp_path):
    model = graph()
    model.graph.node.append(
        helper.make_node("EPContext", [], ["c"], domain="com.microsoft", ep_cache_context="evil.bin")
    )
    onnx.save(model, tmp_path / "graph.onnx")
    with pytest.raises(ValueError, match="compiled for a device"):
        external_files(tmp_path / "graph.onnx")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<net name='IR'/>",  # OpenVINO would read it, and encoder.bin beside it
        b"\x3a\xff\x01",  # longer than the file
        b"\x3a" + b"\xff" * 11,
        b"\x3b\x3c",  # a group
        b"\x00" * 8,
        b"\x80\x80\x80\x80\x80\x01\x00",  # a field number of 40 bits
        b"\x39\x00",
    ],
    ids=repr,
)
def test_bytes_that_are_no_graph_are_an_error(data, tmp_path):
    (tmp_path / "graph.onnx").write_bytes(data)
    with pytest.raises(ValueError, match=r"not an ONNX graph|empty file"):
        external_files(tmp_path / "graph.onnx")


def test_the_number_of_fields_and_the_length_of_names_are_bounded(tmp_path):
    (tmp_path / "graph.onnx").write_bytes(b"\x08\x00" * (MAX_FIELDS + 1))
    with pytest.raises(ValueError, match="more than 1,000,000 fields"):
        external_files(tmp_path / "graph.onnx")
    model = graph()
    model.graph.initializer.append(tensor("w" * 5000))
    onnx.save(model, tmp_path / "graph.onnx")
    with pytest.raises(ValueError, match="a name of more than 4,096 bytes"):
        external_files(tmp_path / "graph.onnx")


def test_graphs_inside_graphs_take_no_stack(tmp_path):
    data = b""
    for _ in range(3000):  # GraphProto.node, .attribute, .g
        for tag in (0x32, 0x2A, 0x0A):
            data = bytes([tag]) + varint(len(data)) + data
    (tmp_path / "graph.onnx").write_bytes(b"\x3a" + varint(len(data)) + data)
    assert external_files(tmp_path / "graph.onnx") == set()


def varint(value):
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])
