import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ijepa import cli

ROOT = Path(__file__).parents[2]


def test_without_a_verb_it_lists_them(capsys):
    assert cli.main([]) == 2
    assert cli.main(["--help"]) == 0
    printed = capsys.readouterr().out
    assert all(f"  {verb}" in printed for verb in cli.VERBS)


def test_an_unknown_verb_is_wrong_usage(capsys):
    assert cli.main(["fly"]) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith("ijepa: unknown command 'fly'\n\nusage: ijepa COMMAND")
    assert printed.out == ""


def test_the_version_is_that_of_the_installation(capsys, monkeypatch):
    from importlib.metadata import PackageNotFoundError, version

    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"ijepa {version('ijepa-features')}\n"

    def absent(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr("ijepa.version.version_of", absent)
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == "ijepa unknown\n"


@pytest.mark.parametrize("verb", cli.VERBS)
def test_every_verb_helps_with_an_example_that_it_can_parse(verb, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main([verb, "--help"])
    assert caught.value.code == 0
    example = cli.VERBS[verb].example
    assert example in capsys.readouterr().out
    for part in example.split(" && "):
        words = shlex.split(part)
        assert words[0] == "ijepa"
        cli.make_parser(words[1], cli.load_command(words[1])).parse_intermixed_args(words[2:])
    assert words[1] == verb


def test_what_the_system_refuses_is_one_sentence(capsys, tmp_path, golden):
    (tmp_path / "file").write_text("x")
    arguments = ["docs/examples", "--out", str(tmp_path / "file"), "--bundle", str(golden), "--runtime", "fake"]
    assert cli.main(["embed", *arguments]) == 1
    assert capsys.readouterr().err.count("\n") == 1
    assert cli.main(["export", "x", "--out", "y", "--card", str(tmp_path / "nowhere.md")]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_the_example_of_embed_embeds(capsys, tmp_path, golden):
    arguments = [
        "embed",
        "docs/examples",
        "--out",
        str(tmp_path / "out"),
        "--bundle",
        str(golden),
        "--runtime",
        "onnxruntime",
    ]
    assert cli.main(arguments) == 0
    assert ": 4 ok\n" in capsys.readouterr().out


def test_a_mistake_is_one_sentence_and_exit_code_1(capsys, tmp_path):
    assert cli.main(["export", str(tmp_path), "--out", str(tmp_path / "x")]) == 1
    error = capsys.readouterr().err
    assert error.startswith("ijepa export: ")
    assert "not a checkpoint" in error
    assert error.count("\n") == 1


def test_wrong_usage_is_exit_code_2(capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(["embed"])
    assert caught.value.code == 2
    assert cli.main(["train"]) == 2


def test_a_missing_package_says_how_to_get_it(monkeypatch, capsys):
    import importlib

    def absent(name):
        raise ModuleNotFoundError(f"No module named {name!r}", name="torch")

    monkeypatch.setattr(importlib, "import_module", absent)
    assert cli.main(["train", "debug"]) == 1
    assert "the package torch is not installed" in capsys.readouterr().err


TOY = """
import sys, types
from ijepa import cli, interrupt

interrupt.PATIENCE_SECONDS = {patience}
verb = types.ModuleType("toy")
verb.add_arguments = lambda parser: None

def run(args):
    {prepare}
    print("running", flush=True)
    {body}

verb.run = run
sys.modules["toy"] = verb
cli.VERBS["toy"] = cli.Verb("toy", "", "")
sys.exit(cli.main(["toy"]))
"""


def interrupted(body: str, patience: float, prepare: str = "", send: bool = True) -> tuple[int, list[str]]:
    """Exit code and standard error of a verb that gets a Ctrl-C while it runs `body`, unless `body` sends it itself."""
    code = TOY.format(body=body, patience=patience, prepare=prepare)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout.readline() == "running\n"
        if send:
            process.send_signal(signal.SIGINT)
        _, printed = process.communicate(timeout=60)
        return process.returncode, printed.splitlines()


def test_ctrl_c_is_one_line_and_exit_code_130():
    code, printed = interrupted("import time; time.sleep(60)", patience=30)
    assert (code, printed) == (130, ["ijepa toy: interrupted; what was done is kept"])


def test_ctrl_c_while_nothing_can_be_interrupted_says_that_it_will_stop():
    """As inside a compilation: the hash is computed in one call that does not look at signals."""
    body = (
        "import hashlib, os, threading; threading.Timer(0.3, os.kill, (os.getpid(), 2)).start(); "
        "hashlib.pbkdf2_hmac('sha256', b'', b'', 6_000_000)"
    )
    code, printed = interrupted(body, patience=0, send=False)
    assert code == 130
    assert printed == [
        "ijepa toy: will stop as soon as what runs now can be interrupted",
        "ijepa toy: interrupted; what was done is kept",
    ]


def test_a_verb_that_handles_ctrl_c_speaks_for_itself():
    prepare = "import signal, time; signal.signal(signal.SIGINT, lambda *_: sys.exit(75))"
    assert interrupted("time.sleep(60)", patience=0, prepare=prepare) == (75, [])
