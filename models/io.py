"""Atomic files and folders, which appear complete or not at all; and files of others, which are read within bounds."""

import hashlib
import json
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

MAX_RECORD_BYTES = 4_000_000
"""Of a manifest, and of any other record in JSON. In memory JSON takes up to thirty times its size."""
MAX_VALUES = 100_000
"""In JSON: of each that is not what was expected a validation makes an error of a kilobyte."""
MAX_DEPTH = 64
"""Of JSON: how deep objects and lists are nested."""
MAX_HEADER_BYTES = 8_000_000
"""Of the header of a safetensors file: some 60,000 tensors. The library itself reads 100 MB."""


@contextmanager
def atomic_directory(path: Path) -> Iterator[Path]:
    """A temporary folder beside `path` that takes its place, synced, when the block ends well, and is deleted when it does not."""
    path = path.resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary, old = path.with_name(f".{path.name}.tmp"), path.with_name(f".{path.name}.old.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        yield temporary
        for file in [*temporary.rglob("*"), temporary]:
            file.chmod(0o755 if file.is_dir() else 0o644)
            _sync(file)
        if path.exists():
            shutil.rmtree(old, ignore_errors=True)
            path.rename(old)
        temporary.rename(path)
        _sync(path.parent)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def atomic_write(path: Path, content: str | bytes) -> None:
    """Write a file under a temporary name, synced, then rename it."""
    with atomic_file(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """A temporary name beside `path` that the block writes to; renamed, synced, when the block ends well."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        yield temporary
        _sync(temporary)
        temporary.replace(path)
        _sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def cache_folder(name: str = "") -> Path:
    """A folder below `ijepa-features` in `$XDG_CACHE_HOME` or `~/.cache`: what can be made or fetched again."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ijepa-features" / name


def sha256_of(path: Path) -> str:
    """The hexadecimal SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_within(path: Path, max_bytes: int) -> bytes:
    """The content of a file of at most `max_bytes`.

    Raises:
        OSError: it cannot be read.
        ValueError: it is larger, or is not a regular file.
    """
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise ValueError("it is not a regular file")
    with path.open("rb") as file:
        content = file.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise ValueError(f"it has {max(len(content), found.st_size):,} bytes, at most {max_bytes:,} are allowed")
    return content


def read_json(path: Path, max_bytes: int = MAX_RECORD_BYTES, max_values: int = MAX_VALUES) -> Any:
    """A JSON document in UTF-8, of bounded size and depth and with at most `max_values` values.

    Raises:
        OSError, ValueError: see `read_within`; or it is not JSON, has too many values, or is nested deeper than `MAX_DEPTH`.
    """
    text = read_within(path, max_bytes).decode()
    try:
        document = json.loads(text)
    except RecursionError as error:
        raise ValueError(f"it is nested deeper than {MAX_DEPTH}") from error
    _check_values(document, max_values)
    if "\\ud" in text.lower():
        try:
            json.dumps(document, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            raise ValueError(r"it has half a character, as in '\ud800', which no text can hold") from error
    return document


def _check_values(document: Any, max_values: int) -> None:
    level, values = [document], 0
    for _ in range(MAX_DEPTH + 1):
        inner = [node.values() if isinstance(node, dict) else node for node in level if isinstance(node, dict | list)]
        level = [child for children in inner for child in children]
        values += len(level)
        if values > max_values:
            raise ValueError(f"it has more than {max_values:,} values")
        if not level:
            return
    raise ValueError(f"it is nested deeper than {MAX_DEPTH}")


def check_safetensors_header(path: Path) -> None:
    """Check the size of the header before the library parses it.

    Raises:
        OSError: the file cannot be read.
        ValueError: the header has more than `MAX_HEADER_BYTES`.
    """
    size = int.from_bytes(read_start(path, 8), "little")
    if size > MAX_HEADER_BYTES:
        raise ValueError(f"its header has {size:,} bytes, at most {MAX_HEADER_BYTES:,} are allowed")


def read_start(path: Path, max_bytes: int) -> bytes:
    """The first bytes of a file."""
    with path.open("rb") as file:
        return file.read(max_bytes)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
