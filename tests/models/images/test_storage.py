"""Places: local paths and stores. Stores that fail, hang or lie end in a defined error."""

import threading
from typing import Any, ClassVar

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from fsspec.registry import _registry

from models.errors import DataError, StoreError
from models.images import patterns, remote, storage


class Faulty(MemoryFileSystem):  # type: ignore[misc]
    """A store in memory whose reads do what a test says."""

    protocol = "faulty"
    store: ClassVar[dict] = {}
    pseudo_dirs: ClassVar[list] = [""]
    faults: ClassVar[list] = []
    calls = 0

    @classmethod
    def _strip_protocol(cls, path):
        return super()._strip_protocol(path.replace("faulty://", "memory://"))

    def cat_file(self, path, start=None, end=None, **given):
        type(self).calls += 1
        if self.faults:
            self.faults.pop(0)()
        return super().cat_file(path, start, end, **given)


@pytest.fixture
def faulty(monkeypatch):
    """`faulty://bucket/file` has ten bytes; a list of what its next reads do first."""
    monkeypatch.setitem(_registry, "faulty", Faulty)
    monkeypatch.setattr(remote, "PAUSE_S", 0.001)
    monkeypatch.setattr(Faulty, "store", {})
    monkeypatch.setattr(Faulty, "pseudo_dirs", [""])
    monkeypatch.setattr(Faulty, "calls", 0)
    faults = []
    monkeypatch.setattr(Faulty, "faults", faults)
    fsspec.filesystem("faulty").pipe_file("/bucket/file", b"0123456789")
    return faults


def fail(error):
    def raise_it():
        raise error

    return raise_it


def test_a_read_that_fails_is_tried_again(faulty):
    faulty += [fail(ConnectionError("reset")), fail(OSError("busy"))]
    assert storage.read_range("faulty://bucket/file", 2, 3) == b"234"
    assert Faulty.calls == 3


def test_a_store_that_goes_on_failing_is_an_error_after_a_bounded_number_of_attempts(faulty):
    faulty += [fail(ConnectionError("reset\nby whom")) for _ in range(9)]
    with pytest.raises(StoreError, match=r"^faulty://bucket/file cannot be read: reset \(tried 3 times\)$"):
        storage.read("faulty://bucket/file")
    assert Faulty.calls == remote.ATTEMPTS


def test_a_store_that_hangs_is_an_error_after_its_time(faulty, monkeypatch):
    released = threading.Event()
    monkeypatch.setattr(remote, "TIMEOUT_S", 0.02)
    faulty += [released.wait] * 9
    with pytest.raises(StoreError, match=r"cannot be read: no answer within 0 s \(tried 3 times\)"):
        storage.read_range("faulty://bucket/file", 0, 10)
    released.set()


@pytest.mark.parametrize("error", [PermissionError("denied"), FileNotFoundError("x")])
def test_what_would_fail_again_is_tried_once(faulty, error):
    faulty.append(fail(error))
    with pytest.raises(DataError, match=r"denied|there is no such file") as raised:
        storage.read_range("faulty://bucket/file", 0, 1)
    assert not isinstance(raised.value, StoreError)
    assert Faulty.calls == 1


@pytest.mark.parametrize(("status", "permanent"), [(403, True), (404, True), (408, False), (429, False), (503, False)])
def test_a_status_of_http_says_whether_to_try_again(status, permanent):
    error: Any = Exception("status")
    error.status = status
    assert remote.is_permanent(error) == permanent


def test_a_file_that_is_shorter_than_a_read_is_an_error(faulty, tmp_path):
    (tmp_path / "file").write_bytes(b"0123456789")
    for place in ("faulty://bucket/file", str(tmp_path / "file")):
        with pytest.raises(DataError, match="ends at byte 10, expected 14 or more"):
            storage.read_range(place, 8, 6)


def test_a_file_above_the_limit_is_not_read(faulty, tmp_path):
    (tmp_path / "file").write_bytes(b"0123456789")
    for place in ("faulty://bucket/file", str(tmp_path / "file")):
        assert storage.read(place, 10) == b"0123456789"
        with pytest.raises(DataError, match="has 10 bytes, at most 9 are read"):
            storage.read(place, 9)
    assert Faulty.calls == 1


def test_a_remote_file_can_be_read_and_sought_in(faulty):
    with storage.open_file("faulty://bucket/file", 4) as file:
        assert file.read(3) == b"012"
        assert file.seek(-2, 2) == 8
        assert file.read() == b"89"
        assert file.read(1) == b""


def test_a_scheme_that_is_unknown_or_needs_a_package_is_an_error_that_says_what_to_do(monkeypatch):
    with pytest.raises(DataError, match=r"nonsense://x cannot be opened: Protocol not known"):
        storage.exists("nonsense://x")
    monkeypatch.setattr(fsspec.core, "url_to_fs", lambda url: fail(ImportError("Install gcsfs"))())
    with pytest.raises(DataError, match=r"gs:// needs a package that is not installed: pip install gcsfs"):
        storage.exists("gs://bucket/x")
    with pytest.raises(DataError, match=r"chained URLs"):
        storage.exists("simplecache::s3://bucket/x")


def test_secrets_of_a_url_are_not_shown():
    assert remote.shown("https://me:word@host/a/b.tar?X-Amz-Signature=secret#x") == "https://host/a/b.tar"
    with pytest.raises(DataError, match="has a password in it") as raised:
        storage.exists("https://me:word@host/a")
    assert "word@" not in str(raised.value)


def test_local_places_are_plain_paths(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "c.txt").write_bytes(b"c")
    root = str(tmp_path)
    assert storage.files_below(root) == ["a/b/c.txt"]
    assert storage.entries(root) == [("a", True)]
    assert storage.join(root, "a/b") == f"{root}/a/b"
    assert storage.read(f"file://{root}/a/b/c.txt") == b"c"
    assert storage.name_of("s3://bucket/a/b.tar?version=1") == "b.tar"
    for action in (storage.size_of, storage.read, storage.entries, storage.version_of):
        with pytest.raises(DataError, match="nothing cannot be read: No such file"):
            action(f"{root}/nothing")
    with pytest.raises(DataError, match="is not a file"):
        storage.size_of(root)


def test_local_places_never_load_or_ask_a_store(tmp_path, monkeypatch):
    monkeypatch.setattr(remote, "open_store", fail(AssertionError("a store was asked")))
    (tmp_path / "x.tar").touch()
    storage.read(str(tmp_path / "x.tar"))
    patterns.expand(f"{tmp_path}/*.tar")
    storage.digest_of(str(tmp_path / "x.tar"))


def test_a_version_changes_when_a_file_is_written_again(tmp_path):
    import os

    fsspec.filesystem("memory").pipe_file("/bucket/v", b"1")
    first = storage.version_of("memory://bucket/v")
    fsspec.filesystem("memory").pipe_file("/bucket/v", b"2")
    assert storage.version_of("memory://bucket/v") != first
    path = tmp_path / "file"
    path.write_bytes(b"1")
    before = storage.version_of(str(path))
    os.utime(path, (1, 1))
    assert storage.version_of(str(path)) != before


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("x-{00..02}.tar", ["x-00.tar", "x-01.tar", "x-02.tar"]),
        ("x-{9..11}.tar", ["x-9.tar", "x-10.tar", "x-11.tar"]),
        ("{a,b}/{1..2}", ["a/1", "a/2", "b/1", "b/2"]),
        ("plain", ["plain"]),
    ],
)
def test_braces_are_expanded_in_order(pattern, expected):
    assert patterns.expand(pattern) == expected


def test_globs_find_files_in_order_and_what_they_do_not_find_is_an_error(tmp_path):
    for name in ("b.tar", "a.tar", "c.txt"):
        (tmp_path / name).touch()
        fsspec.filesystem("memory").pipe_file(f"/globs/{name}", b"")
    assert patterns.expand(f"{tmp_path}/*.tar") == [f"{tmp_path}/a.tar", f"{tmp_path}/b.tar"]
    assert patterns.expand("memory://globs/*.tar") == ["memory:///globs/a.tar", "memory:///globs/b.tar"]
    with pytest.raises(DataError, match=r"there is no file .*\*\.zip"):
        patterns.expand(f"{tmp_path}/*.zip")


def test_a_pattern_that_stands_for_too_much_is_an_error(monkeypatch):
    monkeypatch.setattr(patterns, "MAX_EXPANDED", 100)
    with pytest.raises(DataError, match="stands for more than 100 files"):
        patterns.expand("x-{000000..999999}.tar")


def test_a_file_whose_name_is_a_pattern_is_that_file(tmp_path):
    (tmp_path / "a[1].tar").touch()
    assert patterns.expand(f"{tmp_path}/a[1].tar") == [f"{tmp_path}/a[1].tar"]


def test_commas_in_braces_do_not_separate():
    assert patterns.split_places("a/{1,2}.tar,b,{x,y}") == ["a/{1,2}.tar", "b", "{x,y}"]


@pytest.fixture
def web(tmp_path):
    """The address of a web server of a folder, which ignores ranges."""
    pytest.importorskip("aiohttp", reason="aiohttp is not installed (pip install aiohttp)")
    from functools import partial
    from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path)))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_files_of_a_web_server_are_read_whole_and_in_parts_where_it_serves_them(web, tmp_path):
    (tmp_path / "file").write_bytes(b"0123456789")
    assert storage.exists(f"{web}/file")
    assert not storage.exists(f"{web}/nothing")
    assert storage.read(f"{web}/file?token=secret") == b"0123456789"
    with pytest.raises(DataError, match=r"/file cannot be read in parts: its server ignores ranges"):
        storage.read_range(f"{web}/file", 2, 3)
    with pytest.raises(DataError, match=r"/nothing cannot be read: there is no such file$"):
        storage.read(f"{web}/nothing")
