import sys

import pytest

from service.bench.peak import check_idle, measure_machine


def test_the_machine_has_a_description_versions_and_a_peak():
    machine = measure_machine(0.001, size=32)
    assert "cores" in machine.description
    assert machine.versions.keys() >= {"python", "numpy", "pillow"}
    assert all(gflops > 0 for gflops in machine.gemm_gflops.values())
    assert "float32" in machine.gemm_gflops


def test_without_openvino_there_is_no_peak_of_bfloat16(monkeypatch):
    monkeypatch.delitem(sys.modules, "models.runtimes.openvino", raising=False)
    monkeypatch.setitem(sys.modules, "openvino", None)
    assert list(measure_machine(0.001, size=32).gemm_gflops) == ["float32"]


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_openvino_multiplies_matrices_in_what_the_cpu_has(precision):
    openvino = pytest.importorskip("models.runtimes.openvino")
    if precision not in openvino.OpenVINORuntime.precisions():
        pytest.skip(f"this CPU has no {precision}")
    assert openvino.matrix_product_flops(precision, 32, 0.001) > 0


def test_a_machine_that_is_not_idle_is_noted(monkeypatch):
    notes = []
    for load in (0.1, 3.0):
        monkeypatch.setattr("os.getloadavg", lambda load=load: (load, 0.0, 0.0))
        check_idle(notes)
    assert notes == ["other programs were running, so the figures are too low: the load average was 3.0 at the start"]
