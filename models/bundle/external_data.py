"""The files that an ONNX graph takes weights from, read from its bytes: a runtime opens whatever file a graph names.

An ONNX file is a protocol buffer (protobuf.dev/programming-guides/encoding). Only what can hold a tensor is looked into, all else
is skipped by its length, and what no exporter writes is an error. Torch-free, and without the package onnx.
"""

import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

MAX_FIELDS = 1_000_000
"""Of a graph. One of 40 blocks has some 60,000."""

TENSOR, ENTRY, NODE = "TensorProto", "StringStringEntryProto", "NodeProto"
PARTS: dict[str, dict[int, str]] = {
    "ModelProto": {7: "GraphProto", 20: "TrainingInfoProto", 25: "FunctionProto"},
    "TrainingInfoProto": {1: "GraphProto", 2: "GraphProto"},
    "FunctionProto": {7: NODE, 11: "AttributeProto"},
    "GraphProto": {1: NODE, 5: TENSOR, 15: "SparseTensorProto"},
    NODE: {5: "AttributeProto"},
    "AttributeProto": {
        5: TENSOR, 6: "GraphProto", 10: TENSOR, 11: "GraphProto", 22: "SparseTensorProto", 23: "SparseTensorProto",
    },
    "SparseTensorProto": {1: TENSOR, 2: TENSOR},
    TENSOR: {13: ENTRY},
    ENTRY: {},
}  # fmt: skip
"""The fields of each message of onnx.proto that lead to a tensor's `external_data`, and the messages that they hold."""
OP_TYPE, KEY, VALUE = 4, 1, 2
TEXTS = {NODE: (OP_TYPE,), ENTRY: (KEY, VALUE)}
"""The fields of text that are read."""
COMPILED = b"EPContext"
"""A node that holds, or names the file of, a graph compiled for some device."""

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
"""How the content of a field is written."""
NOT_A_GRAPH = "it is not an ONNX graph, or is truncated"
MAX_NAME_BYTES = 4096


class _Field(NamedTuple):
    """A field of a message: its number, whether it is bytes, text or a message, and where its content lies."""

    number: int
    has_bytes: bool
    start: int
    end: int


def external_files(path: Path) -> set[str]:
    """The names in the external data of a graph, as they stand there.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is not an ONNX graph, has too many fields, or holds a graph compiled for a device.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        names: set[str] = set()
        seen, waiting = 0, [("ModelProto", 0, len(data))]
        while waiting:
            kind, start, end = waiting.pop()
            texts: dict[int, list[bytes]] = {}
            for field in _fields(data, start, end):
                seen += 1
                if seen > MAX_FIELDS:
                    raise ValueError(f"it has more than {MAX_FIELDS:,} fields")
                if field.has_bytes and (part := PARTS[kind].get(field.number)):
                    waiting.append((part, field.start, field.end))
                elif field.has_bytes and field.number in TEXTS.get(kind, ()):
                    texts.setdefault(field.number, []).append(_text(data, field))
            if b"location" in texts.get(KEY, ()):
                names |= {value.decode(errors="replace") for value in texts.get(VALUE, ())}
            if COMPILED in texts.get(OP_TYPE, ()):
                raise ValueError(f"it holds a graph compiled for a device ({COMPILED.decode()})")
        return names


def _text(data: mmap.mmap, field: _Field) -> bytes:
    if field.end - field.start > MAX_NAME_BYTES:
        raise ValueError(f"it has a name of more than {MAX_NAME_BYTES:,} bytes")
    return data[field.start : field.end]


def _fields(data: mmap.mmap, position: int, end: int) -> Iterator[_Field]:
    """The fields of a message."""
    while position < end:
        tag, position = _varint(data, position, end)
        number, kind, start = tag >> 3, tag & 7, position
        if kind == VARINT:
            _, position = _varint(data, position, end)
        elif kind == BYTES:
            size, start = _varint(data, position, end)
            position = start + size
        elif kind in (FIXED32, FIXED64):
            position += 4 if kind == FIXED32 else 8
        else:
            raise ValueError(NOT_A_GRAPH)
        if not 0 < tag < 2**32 or number == 0 or position > end:
            raise ValueError(NOT_A_GRAPH)
        yield _Field(number, kind == BYTES, start, position)


def _varint(data: mmap.mmap, position: int, end: int) -> tuple[int, int]:
    """A number of at most ten bytes, and the position behind it."""
    value = 0
    for shift in range(0, 70, 7):
        if position >= end:
            break
        byte = data[position]
        value, position = value | (byte & 0x7F) << shift, position + 1
        if byte < 0x80:
            return value, position
    raise ValueError(NOT_A_GRAPH)
