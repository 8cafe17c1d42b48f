"""The reports of the serving and the bulk benchmark are medians of what was measured."""

import re
from importlib.util import find_spec

import numpy as np
import pytest
from PIL import Image

from benchmarks import bulk, serving_report
from benchmarks.contestants.bulk_table import BULK_CONTESTANTS
from benchmarks.contestants.table import CONTESTANTS
from benchmarks.engines import gflop_of
from benchmarks.machine import instructions, processor_name
from benchmarks.material import names_of
from benchmarks.photographs import write_photographs
from benchmarks.report import smallest_agreement, vector_of
from models.config import model_of_size
from models.images.preprocess import Preprocessing

CPUINFO = (
    "cpu family\t: 25\nmodel\t\t: 17\nmodel name\t: A CPU\nflags\t\t: fpu avx2 avx512_bf16\n\nmodel name\t: A CPU\n"
)


def closed(rate):
    return {"rate": rate, "p50_ms": 20.0, "p99_ms": 30.0, "errors": 0, "client_ms": 0.1}


def serving_results():
    opened = {"rate": 20.0, "p50_ms": 40.0, "p99_ms": 60.0, "errors": 0, "client_ms": 0.2}
    ours = [
        {
            "ready_s": 2.0,
            "agreement": 0.9991,
            "closed": {"1": closed(rate / 2), "32": closed(rate)},
            "open": {"0.5": opened},
        }
        for rate in (30.0, 40.0, 80.0)
    ]
    return {
        "machine": {"processor": "A CPU"},
        "settings": {"clients": "32", "rounds": "3"},
        "encoder": {"bundle": "small", "gflop": 2.0},
        "contestants": {
            "ours": {"setting": "as installed", "rounds": ours},
            "other": {
                "setting": "a",
                "rounds": [{"ready_s": 9.0, "closed": {"32": closed(10.0)}, "open": {}}, {"skipped": "no port"}],
            },
            "never": {"setting": "a", "rounds": [{"skipped": "ended with code 1"}]},
        },
        "engines": {
            "auto:auto": [{"what": "openvino 1 CPU, bfloat16", "rates": {"1": 40.0, "8": 50.0}}],
            "openvino:int8": [{"skipped": "the bundle has no int8"}],
            "gemm": [{"bfloat16": 200.0}],
            "decode": [{"rate": 500.0}],
        },
    }


def test_rates_are_medians_of_the_rounds_and_ratios_are_of_medians():
    ratios = dict(serving_report.ratios(serving_results()))
    assert ratios["ours at 32 connections / engine alone"] == "0.80"
    assert ratios["ours / other"] == "4.00"
    assert ratios["p99 at half the capacity / one inference"] == "2.40"
    assert ratios["one connection, p50 less decoding and the engine at batch 1, ms"] == "-7.00"


def test_what_was_skipped_is_named_with_its_reason_and_has_no_figure():
    report = serving_report.write_report(serving_results())
    assert "- never, round 1: skipped: ended with code 1" in report
    assert "- other, round 2: skipped: no port" in report
    assert "- openvino:int8, round 1: skipped: the bundle has no int8" in report
    assert "| never" not in report
    assert "first answer after: ours 2.0 s, other 9.0 s\n" in report
    assert "nan" not in report


def test_the_share_of_the_matrix_products_is_that_of_the_engines_own_type():
    assert "| auto:auto | openvino 1 CPU, bfloat16 | 40.0 | 50.0 | 50% |" in serving_report.write_report(
        serving_results()
    )


def test_the_start_of_a_bulk_command_is_taken_from_its_rate():
    done = {"first": {"photographs": 10, "seconds": 6.0}, "all": {"photographs": 110, "seconds": 11.0}}
    assert bulk.rates([done, {"skipped": "x"}]) == ([10.0], [20.0])


def test_vectors_of_a_bulk_command_are_in_the_order_of_the_files(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as parquet

    for name, which in (("part-0", [2, 0]), ("part-1", [1])):
        columns = {"uri": [f"file:/{i}.jpg" for i in which], "embedding": [[float(i)] for i in which]}
        parquet.write_table(pa.table(columns), tmp_path / f"{name}.parquet")
    assert bulk.read_vectors(tmp_path).tolist() == [[0.0], [1.0], [2.0]]


@pytest.mark.parametrize(
    "document",
    [{"embedding": [1.0, 2.0]}, [[1.0, 2.0]], {"object": "list", "data": [{"index": 0, "embedding": [1.0, 2.0]}]}],
)
def test_a_vector_is_found_wherever_a_server_puts_it(document):
    assert vector_of(document) == [1.0, 2.0]


def test_an_answer_without_a_vector_is_an_error():
    with pytest.raises(RuntimeError, match="has no vector"):
        vector_of({"detail": "Unprocessable"})


def test_agreement_is_of_directions_and_of_the_worst_image():
    reference = np.random.default_rng(0).normal(3, 1, (4, 8))
    assert smallest_agreement(reference / np.linalg.norm(reference, axis=1, keepdims=True), reference) > 0.9999
    other = reference.copy()
    other[2] = reference[1]
    assert smallest_agreement(other, reference) < 0.9


def test_the_gflop_of_a_published_size_are_those_that_torch_counts():
    encoder = model_of_size("base", patch_size=16, pixels=Preprocessing(size=(224, 224))).encoder
    from benchmarks.sizing import costs

    assert round(gflop_of(encoder)) == int(costs("B/16", "base", 16, 224)[6])


def test_photographs_have_one_size_and_repeat_with_another_crop(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    (tmp_path / "in").mkdir()
    Image.fromarray(noise).resize((800, 700)).save(tmp_path / "in" / "a.jpg")
    first, second = write_photographs(tmp_path / "in", tmp_path / "out", 2)
    for path in (first, second):
        with Image.open(path) as image:
            assert image.size == (500, 375)
    assert first.read_bytes() != second.read_bytes()


def test_a_folder_without_images_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match="give a folder of photographs with --images"):
        write_photographs(tmp_path, tmp_path / "out", 1)


def test_the_machine_is_described_by_what_speeds_matrix_products_up():
    assert processor_name(CPUINFO) == "A CPU (family 25, model 17)"
    assert instructions(CPUINFO) == ["avx2", "avx512_bf16"]


def test_an_unknown_contestant_is_an_error():
    with pytest.raises(Exception, match="unknown: outs; known: ours, other"):
        names_of(["ours", "other"])("ours,outs")


@pytest.mark.parametrize("table", [CONTESTANTS, BULK_CONTESTANTS])
def test_every_contestant_is_a_module_that_exists(table):
    modules = [re.search(r"benchmarks\.contestants\.\w+", contestant.arguments) for contestant in table.values()]
    assert [name for name, module in zip(table, modules, strict=True) if not module] == ["ours"]
    assert all(find_spec(module[0]) for module in modules if module)
