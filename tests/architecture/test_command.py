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
    for part in example.split(" && "):
        words = shlex.split(part)
        assert words[0] == "ijepa"
        ijepa.make_parser(words[1], ijepa.load(words[1])).parse_intermixed_args(words[2:])
    assert words[1] == verb


def test_what_the_system_refuses_is_one_sentence(capsys, tmp_path, golden):
    (tmp_path / "file").write_text("x")
    assert ijepa.main(["embed", "docs/examples", "--out", str(tmp_path / "file"), "--bundle", str(golden)]) == 1
    assert capsys.readouterr().err.count("\n") == 1
    assert ijepa.main(["export", "x", "--out", "y", "--card", str(tmp_path / "nowhere.md")]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_the_example_of_embed_embeds(capsys, tmp_path, golden):
    assert (
        ijepa.main(
            ["embed", "docs/examples", "--out", str(tmp_path / "out"), "--bundle", str(golden), "--runtime", "cpu"]
        )
        == 0
    )
    assert capsys.readouterr().out.endswith(": 4 ok\n")


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
