import hashlib
import json
import shutil

import pytest

from ijepa.cli import main


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """A working directory and a home without bundles."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    return tmp_path


def test_the_list_has_local_and_bundled_models_and_where_to_get_published_weights(elsewhere, golden, capsys):
    shutil.copytree(golden, elsewhere / "bundles" / "mine")
    shutil.copytree(golden, elsewhere / "home" / "ijepa-features" / "bundles" / "theirs")
    assert main(["models", "list"]) == 0
    listed = capsys.readouterr()
    rows = {line.split()[0]: line for line in listed.out.splitlines()}

    assert rows.keys() == {"mine", "theirs", "fashion-mnist-nano"}
    assert rows["mine"].endswith("trained on nothing: its weights are random, licence Apache-2.0, bundles/mine")
    assert rows["theirs"].endswith(str(elsewhere / "home" / "ijepa-features" / "bundles" / "theirs"))
    assert rows["fashion-mnist-nano"].endswith(", bundled")
    assert "https://dl.fbaipublicfiles.com/ijepa/IN22K-vit.g.16-600e.pth.tar" in listed.err
    assert "facebook/ijepa_vith14_1k, from https://huggingface.co/facebook/ijepa_vith14_1k" in listed.err
    assert "licence CC-BY-NC-4.0: not for commercial use" in listed.err


def test_a_bundle_behind_another_of_the_same_name_and_a_broken_one_are_reported(elsewhere, golden, capsys):
    """`--bundle` takes the first; one broken manifest does not hide the others."""
    shutil.copytree(golden, elsewhere / "bundles" / "fashion-mnist-nano")
    (elsewhere / "bundles" / "broken").mkdir()
    (elsewhere / "bundles" / "broken" / "manifest.json").write_text("{}")
    assert main(["models", "list"]) == 0
    listed = capsys.readouterr()

    assert [line.split()[0] for line in listed.out.splitlines()] == ["fashion-mnist-nano"]
    assert listed.out.strip().endswith("bundles/fashion-mnist-nano")
    assert "fashion-mnist-nano (bundled) is hidden by the bundle of that name above" in listed.err
    assert "ijepa models: bundles/broken/manifest.json is malformed" in listed.err


def test_a_bundle_is_shown_and_verified_by_name(elsewhere, golden, capsys):
    shutil.copytree(golden, elsewhere / "bundles" / "mine")
    assert main(["models", "show", "mine"]) == 0
    assert capsys.readouterr().out == (golden / "MODEL_CARD.md").read_text()
    assert main(["models", "verify", "mine"]) == 0
    assert capsys.readouterr().out.startswith("golden  sha256 ")


def test_outputs_that_are_not_those_of_the_export_do_not_verify(elsewhere, golden, capsys, monkeypatch):
    from models.runtimes.onnxruntime import CPURuntime

    encode = CPURuntime.encode
    monkeypatch.setattr(
        CPURuntime, "encode", lambda *args: {name: values + 0.01 for name, values in encode(*args).items()}
    )
    assert main(["models", "verify", str(golden)]) == 1
    assert "golden: tokens of the canonical image differs by 1.00e-02, allowed is 1.00e-04" in capsys.readouterr().err


def test_wrong_use_says_what_is_expected(capsys):
    assert main(["models", "push", "x"]) == 2
    assert "push takes 2 names, 1 were given: ijepa models push BUNDLE ID" in capsys.readouterr().err


def test_escape_sequences_in_a_bundle_are_shown_not_obeyed(elsewhere, golden, capsys):
    folder = elsewhere / "bundles" / "mine"
    shutil.copytree(golden, folder)
    document = json.loads((folder / "manifest.json").read_text())
    document["source"]["trained_on"], document["licence"] = "\x1b[2J\x1b]0;mine\x07images", "MIT\u202e\rnone"
    card = b"# Card\x1b[31m\nText\n"
    (folder / "MODEL_CARD.md").write_bytes(card)
    document["files"]["MODEL_CARD.md"] = {"sha256": hashlib.sha256(card).hexdigest(), "size": len(card)}
    (folder / "manifest.json").write_text(json.dumps(document))
    assert main(["models", "list"]) == 0
    assert r"trained on \x1b[2J\x1b]0;mine\x07images, licence MIT\u202e\rnone" in capsys.readouterr().out
    assert main(["models", "show", "mine"]) == 0
    assert capsys.readouterr().out == "# Card\\x1b[31m\nText\n"


def test_escape_sequences_in_an_error_are_shown_not_obeyed(elsewhere, capsys):
    folder = elsewhere / "no\x1b]0;title\x07name"
    folder.mkdir()
    (folder / "manifest.json").write_text("{}")
    assert main(["models", "show", str(folder)]) == 1
    assert r"no\x1b]0;title\x07name/manifest.json is malformed" in capsys.readouterr().err
