"""The int8 form of a graph: which of its products are computed in int8, with which integers and ranges.

All products with weights are (`models.export.qdq`): weights by output channel as GPTQ rounds them, activations as uint8 with a
range that is found once on real images, so that the outputs for an image do not depend on others in its batch. The convolution
of the patches, the products within attention and whitenings are not.

Trained networks can have a product whose quantised input alone spoils the outputs, as a rule in the first block (docs/experiments,
int8 and float16). Such products are found by measuring and stay float32.
"""

from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np
import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from models.errors import ExportError
from models.export.accuracy import accuracies, features, lowest
from models.export.gptq import Moments, quantize_weight
from models.export.qdq import Feed, Inputs, Int8Product, products_with_weights, weight_of, write_qdq
from models.runtimes.onnxruntime import Session

MAX_MOMENTS_BYTES = 2 * 2**30
"""Products whose covariances need more memory are done in groups, each with its own pass over the images."""
N_SELECTION_IMAGES = 128
"""Of the images that ranges are found on, those on which products are chosen that stay float32."""
MAX_LOSS = 5e-4
"""A product that alone takes the cosine of any output, first percentile, further from 1 stays float32."""
MAX_FLOAT32_SHARE = 0.25
"""At most this share of the products stays float32 for that: with more, little would be gained."""


def write_int8(source: Path, out: Path, feed: Feed) -> None:
    """Write a float32 graph in int8, with the inputs of `feed`.

    Raises:
        ExportError: no product with weights, or values that are not finite.
    """
    products = quantize_products(source, feed)
    if not products:
        raise ExportError(f"{source.name} has no product with weights: there is nothing to quantise")
    for name in sensitive_products(source, products, list(_first(feed(), N_SELECTION_IMAGES))):
        del products[name]
    write_qdq(source, out, products)


def quantize_products(source: Path, feed: Feed) -> dict[str, Int8Product]:
    """Every product with weights of a graph in int8, by the name of its node.

    Raises:
        ExportError: values that are not finite.
    """
    quantized = {}
    for group in _groups(products_with_weights(ir.load(source).graph)):
        moments = _moments(source, group, feed)
        for product in group:
            inputs, name = moments[_input(product)], product.name
            assert name is not None
            weight = quantize_weight(weight_of(product), inputs)
            quantized[name] = Int8Product(weight, inputs.minimum, inputs.maximum)
    return quantized


def sensitive_products(source: Path, products: dict[str, Int8Product], inputs: list[Inputs]) -> list[str]:
    """Products that alone lose more than `MAX_LOSS`, at most `MAX_FLOAT32_SHARE` of them, the worst first.

    Searched only if all together lose more. The worst is found by halving.
    """
    exact, trial = features(source, inputs), source.with_name(f".{source.name}.trial.onnx")

    def loss(names: list[str]) -> float:
        try:
            write_qdq(source, trial, {name: products[name] for name in names})
            other = features(trial, inputs)
        finally:
            trial.unlink(missing_ok=True)
            trial.with_name(f"{trial.name}.data").unlink(missing_ok=True)
        return 1 - lowest(accuracies(exact, other)).first_percentile

    found: list[str] = []
    while len(found) < int(MAX_FLOAT32_SHARE * len(products)):
        rest = [name for name in products if name not in found]
        lost = loss(rest)
        while lost > MAX_LOSS and len(rest) > 1:
            halves = rest[: len(rest) // 2], rest[len(rest) // 2 :]
            losses = [loss(half) for half in halves]
            lost, rest = max(losses), halves[int(np.argmax(losses))]
        if not lost > MAX_LOSS:
            break
        found += rest
    return found


def _groups(products: list[ir.Node]) -> Iterator[list[ir.Node]]:
    """Consecutive products whose covariances fit into `MAX_MOMENTS_BYTES`, at least one."""
    group: list[ir.Node] = []
    size = 0
    for product in products:
        needed = 4 * len(weight_of(product)) ** 2  # float32
        if group and size + needed > MAX_MOMENTS_BYTES:
            yield group
            group, size = [], 0
        group.append(product)
        size += needed
    if group:
        yield group


def _moments(source: Path, products: list[ir.Node], feed: Feed) -> dict[str, Moments]:
    """The moments of the products' inputs, by the name of the value."""
    moments = {_input(product): Moments(len(weight_of(product))) for product in products}
    session = _session_with_outputs(source, moments.keys())
    for inputs in feed():
        values = dict(inputs)
        if session:
            used = {name: inputs[name] for name in session.inputs}
            values |= zip(session.outputs, session.run(session.outputs, **used), strict=True)
        for name, accumulated in moments.items():
            if not np.isfinite(values[name]).all():
                raise ExportError(f"{source.name} has values that are not finite; nothing was written")
            accumulated.add(values[name])
    return moments


def _session_with_outputs(source: Path, names: Collection[str]) -> Session | None:
    """A graph with these values as its outputs, without those that are its inputs; None if all are."""
    model = ir.load(source)
    watched = [value for node in model.graph for value in node.outputs if value.name in names]
    if not watched:
        return None
    model.graph.outputs.clear()
    for value in watched:
        value.type = ir.TensorType(ir.DataType.FLOAT)
        model.graph.outputs.append(value)
    RemoveUnusedNodesPass()(model)
    path = source.with_name(f".{source.name}.watched.onnx")
    try:
        ir.save(model, path)  # weights that lie beside the graph stay there
        return Session(path)
    finally:
        path.unlink(missing_ok=True)


def _first(batches: Iterator[Inputs], images: int) -> Iterator[Inputs]:
    """Batches until they hold this number of images."""
    seen = 0
    for inputs in batches:
        yield inputs
        seen += len(next(iter(inputs.values())))
        if seen >= images:
            return


def _input(product: ir.Node) -> str:
    value = product.inputs[0]
    assert value is not None
    assert value.name is not None
    return value.name
