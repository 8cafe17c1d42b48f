"""Runs the fenced code blocks of a Markdown page in order, in a folder that looks like a fresh clone.

`python` blocks of a page run in one interpreter; `sh` blocks run with bash and stop at the first error. All share the folder
(`tests/fresh_clone.py`). A comment directly before a fence changes how the block is run:

    <!-- not run: REASON -->     it is not, for this reason
    <!-- server -->              it starts a server, which runs until the page ends; later blocks find it at localhost:8000
    <!-- run with: WORDS -->     the words are added to every `ijepa train` of the block, to make the run short

`<!-- needs a server -->` anywhere on a page starts a server of the bundled model before the first block.

`python -m tests.docblocks` lists every block and whether it is run.
"""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.fresh_clone import ROOT, free_port, make_clone, make_environment

RUN_LANGUAGES = ("python", "sh")
OTHER_LANGUAGES = ("", "json", "text", "toml", "yaml")
"""Blocks that are not code: output, file formats, trees."""
BLOCK_SECONDS = 120
SERVER_SECONDS = 60
NEEDS_SERVER = "<!-- needs a server -->"
BLOCK = re.compile(
    r"(?:^<!--[ ](?P<mark>[^\n]*?)[ ]-->\n+)?^```(?P<language>[^\n`]*)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL
)


class Block(NamedTuple):
    """One fenced block, the line of its fence, and the comment before it (empty without one)."""

    page: Path
    line: int
    language: str
    code: str
    mark: str

    @property
    def place(self) -> str:
        """Page and line."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def not_run(self) -> str | None:
        """Why the block is not run; None if it is."""
        return self.mark.removeprefix("not run: ") if self.mark.startswith("not run: ") else None

    @property
    def is_server(self) -> bool:
        """Whether it starts a server."""
        return self.mark == "server"

    @property
    def extra(self) -> str:
        """Words added to every `ijepa train`."""
        return self.mark.removeprefix("run with: ") if self.mark.startswith("run with: ") else ""


def pages() -> list[Path]:
    """The pages whose blocks are code for a reader to run."""
    names = ("README.md", "CONTRIBUTING.md", "benchmarks/README.md", "docker/README.md")
    return [*(ROOT / name for name in names), *sorted((ROOT / "docs").glob("*.md"))]


def read_blocks(page: Path) -> list[Block]:
    """All fenced blocks of a page."""
    text = page.read_text()
    return [
        Block(
            page,
            text.count("\n", 0, match.start("language")) + 1,
            match["language"],
            match["code"],
            match["mark"] or "",
        )
        for match in BLOCK.finditer(text)
    ]


def run_page(page: Path, folder: Path) -> None:
    """Run the blocks of a page.

    Raises:
        AssertionError: a block failed; the message has its place and what it printed.
    """
    make_clone(folder)
    port = free_port()
    shell = Shell(folder, make_environment(folder, port), port)
    blocks = [block for block in read_blocks(page) if block.language in RUN_LANGUAGES and block.not_run is None]
    with contextlib.ExitStack() as stack:
        if NEEDS_SERVER in page.read_text():
            stack.enter_context(shell.server("ijepa serve"))
        python = stack.enter_context(Interpreter(shell)) if any(b.language == "python" for b in blocks) else None
        for block in blocks:
            code = re.sub(r"\b(localhost|127\.0\.0\.1):8000\b", rf"\1:{port}", block.code)
            if block.is_server:
                stack.enter_context(shell.server(code))
            elif block.language == "python":
                assert python is not None
                python.run(block, code)
            else:
                shell.run(block, with_words(code, block.extra))


class Shell(NamedTuple):
    """Where commands run: the folder, the environment, and the port that a server listens on."""

    folder: Path
    environment: dict[str, str]
    port: int

    def start(self, *command: str) -> "subprocess.Popen[str]":
        """Start a command with pipes to it and from it, in a group of processes of its own."""
        return subprocess.Popen(
            command, cwd=self.folder, env=self.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True,
        )  # fmt: skip

    def run(self, block: Block, code: str) -> None:
        """Run one `sh` block to its end.

        Raises:
            AssertionError: it failed, or took too long.
        """
        process = self.start("bash", "-euo", "pipefail", "-c", code)
        try:
            output = process.communicate(timeout=BLOCK_SECONDS)[0]
        except subprocess.TimeoutExpired:
            output = f"{stop(process)}\nstopped after {BLOCK_SECONDS} s"
        assert process.returncode == 0, f"{block.place} exits with {process.returncode}:\n{code}\n{output[-4000:]}"

    @contextlib.contextmanager
    def server(self, code: str) -> Iterator[None]:
        """Run shell code that starts a server, until the context ends.

        Raises:
            AssertionError: it ended, or was not ready in time.
        """
        if code.startswith("make ") and not make_is_up_to_date():
            code = "ijepa serve"
        process = self.start("bash", "-c", code)
        try:
            deadline = time.monotonic() + SERVER_SECONDS
            while not is_ready(self.port):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise AssertionError(f"the server is not ready:\n{code}\n{stop(process)[-4000:]}")
                time.sleep(0.05)
            yield
        finally:
            stop(process)


class Interpreter:
    """One Python process that runs the blocks of a page, as a reader's would."""

    LOOP = """
import json, sys, traceback
namespace = {"__name__": "__main__"}
for line in sys.stdin:
    page, number, code = json.loads(line)
    done = "passed"
    try:
        exec(compile("\\n" * number + code, page, "exec"), namespace)
    except BaseException:
        traceback.print_exc()
        done = "failed"
    sys.stderr.flush()
    print("\\0" + done, flush=True)
"""

    def __init__(self, shell: Shell) -> None:
        self._process = shell.start(sys.executable, "-c", self.LOOP)

    def __enter__(self) -> "Interpreter":
        return self

    def __exit__(self, *_: object) -> None:
        stop(self._process)

    def run(self, block: Block, code: str) -> None:
        """Run one `python` block.

        Raises:
            AssertionError: it raised something.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([block.page.name, block.line, code]) + "\n")
        self._process.stdin.flush()
        output = ""
        timer = threading.Timer(BLOCK_SECONDS, os.killpg, (self._process.pid, signal.SIGKILL))
        timer.start()
        try:
            for line in self._process.stdout:
                printed, end, result = line.partition("\0")
                output += printed
                if end:
                    assert result == "passed\n", f"{block.place}:\n{code}\n{output[-4000:]}"
                    return
        finally:
            timer.cancel()
        raise AssertionError(f"{block.place} ended the interpreter:\n{code}\n{output[-4000:]}")


def stop(process: "subprocess.Popen[str]") -> str:
    """Interrupt a process and what it started, then kill what is left; what it printed."""
    for number, seconds in ((signal.SIGINT, 15), (signal.SIGKILL, None)):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.communicate(timeout=seconds)[0] or ""
    return ""


def is_ready(port: int) -> bool:
    """Whether a server on this machine has loaded its models."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://127.0.0.1:{port}/health/ready", timeout=2) as response:
            return bool(response.status == 200)
    except OSError:
        return False


def with_words(code: str, words: str) -> str:
    """The code with words added to every `ijepa train`, over lines that go on after a backslash."""
    if not words:
        return code
    lines = code.replace("\\\n", " ").splitlines()
    return "\n".join(f"{line.split(' #')[0]} {words}" if line.startswith("ijepa train ") else line for line in lines)


def make_is_up_to_date() -> bool:
    """Whether `make serve` would install nothing."""
    return (
        shutil.which("make") is not None
        and not subprocess.run(["make", "-q", ".venv/serve-cpu"], cwd=ROOT, capture_output=True, check=False).returncode
    )


if __name__ == "__main__":
    for page in pages():
        for block in read_blocks(page):
            if block.language in RUN_LANGUAGES:
                print(f"{block.place}: {block.language}: {block.mark or 'run'}")
