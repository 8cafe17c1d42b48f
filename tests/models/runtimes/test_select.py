import pytest

from models.bundle.reader import read_bundle
from models.errors import ConfigError
from models.runtimes import select


def test_a_precision_that_a_bundle_does_not_have_is_an_error(golden):
    with pytest.raises(ConfigError, match="has no precision 'int8'; it has float32"):
        select.open_runtime("cpu", read_bundle(golden), 1, "int8")


def test_an_unknown_runtime_lists_those_there_are(golden):
    with pytest.raises(ConfigError, match="'fast' is unknown; the runtimes are auto, gpu, cpu, fake"):
        select.open_runtime("fast", read_bundle(golden))


def test_a_toy_runtime_is_opened_by_its_name(golden, monkeypatch):
    """A new member of the family is a class and a line of the table."""
    from models.runtimes.fake import FakeRuntime

    monkeypatch.setitem(select.RUNTIMES, "toy", select.Member("models.runtimes.fake", "FakeRuntime"))
    runtime = select.open_runtime("toy", read_bundle(golden))
    assert isinstance(runtime, FakeRuntime)
    assert runtime.precision == "float32"


def test_a_runtime_without_its_library_says_what_to_install(monkeypatch):
    monkeypatch.setitem(select.RUNTIMES, "toy", select.Member("a_library_that_nobody_has.runtime", "Runtime"))
    with pytest.raises(ConfigError, match="the package a_library_that_nobody_has is not installed; install the extra"):
        select.RUNTIMES["toy"].load()
