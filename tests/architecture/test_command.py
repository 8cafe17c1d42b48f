import shlex

import pytest

import ijepa


def test_without_a_verb_it_lists_them(capsys):
    assert ijepa.main([]) == 2
    assert ijepa.main(["--help"]) == 0
    printed = capsys.readouterr().out
    assert all(f"  {verb}" in printed for verb in ijepa.VERBS)


def test_an_unknown_verb_is_wrong_usage(capsys):
    assert ijepa.main(["fly"]) == 2
    assert "'fly' is no verb" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ijepa.VERBS)
def test_every_verb_helps_with_an_example_that_it_can_parse(verb, capsys):
    with pytest.raises(SystemExit) as caught:
        ijepa.main([verb, "--help"])
    assert caught.value.code == 0
    example = ijepa.VERBS[verb].example
    assert example in capsys.readouterr().out
    words = shlex.split(example)
    assert words[:2] == ["ijepa", verb]
    ijepa.make_parser(verb, ijepa.load(verb)).parse_intermixed_args(words[2:])


def test_a_mistake_is_one_sentence_and_exit_code_1(capsys, tmp_path):
    assert ijepa.main(["export", str(tmp_path), "--out", str(tmp_path / "x")]) == 1
    error = capsys.readouterr().err
    assert error.startswith("ijepa export: ")
    assert "is no checkpoint" in error
    assert error.count("\n") == 1


def test_wrong_usage_is_exit_code_2():
    with pytest.raises(SystemExit) as caught:
        ijepa.main(["train"])
    assert caught.value.code == 2


def test_a_missing_package_says_how_to_get_it(monkeypatch, capsys):
    import importlib

    def absent(name):
        raise ModuleNotFoundError(f"No module named {name!r}", name="torch")

    monkeypatch.setattr(importlib, "import_module", absent)
    assert ijepa.main(["train", "debug"]) == 1
    assert "the package torch is not installed" in capsys.readouterr().err
