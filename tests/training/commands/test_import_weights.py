import os
import re

import torch

from tests.models.importers import meta_layout


def without(document, part, prefix):
    """A document without the tensors of a part whose names start with the prefix."""
    kept = {name: tensor for name, tensor in document[part].items() if not name.startswith(f"module.{prefix}")}
    return {**document, part: kept}


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def wrong_files(tmp_path):
    """Files that are not an I-JEPA, and a part of the message."""
    good = meta_layout.document()
    whole = meta_layout.write(tmp_path / "whole.pth.tar", good).read_bytes()
    (tmp_path / "truncated.pth.tar").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.pth.tar").write_text("<html>not found</html>")
    torch.save({**good, "loss": Bomb(tmp_path / "ran")}, tmp_path / "code.pth.tar")
    torch.save(torch.nn.Linear(2, 2).state_dict(), tmp_path / "other.pth.tar")
    broken = {**good["target_encoder"], "module.norm.bias": torch.full((40,), torch.nan)}
    cls = {
        **good["target_encoder"],
        "module.pos_embed": torch.zeros(1, 17, 40),
        "module.cls_token": torch.zeros(1, 1, 40),
    }
    for name, document in {
        "nan": {**good, "target_encoder": broken},
        "gap": without(good, "predictor", "predictor_blocks.1."),
        "no-norm": without(good, "encoder", "norm."),
        "more": {**good, "encoder": {**good["encoder"], "module.head.weight": torch.zeros(3)}},
        "class-token": {**good, "target_encoder": cls},
    }.items():
        meta_layout.write(tmp_path / f"{name}.pth.tar", document)
    return {
        "truncated": "is truncated",
        "text": "is not a torch checkpoint",
        "code": "would run code",
        "other": "is not an I-JEPA checkpoint.*weight, bias",
        "nan": "not finite in target_encoder.norm.bias",
        "gap": "missing predictor.blocks.1.norm1.weight",
        "no-norm": r"missing context_encoder.norm.weight \[40\]",
        "more": "unexpected context_encoder.head.weight",
        "class-token": "is not a square grid",
        "absent": "unknown source .* is not a file, a folder or an id; expected timm:NAME, Meta's .pth.tar or a folder",
    }


def test_a_wrong_file_is_one_sentence_and_leaves_nothing(tmp_path, capsys):
    """No code of the file is run, no folder is written, no traceback is shown."""
    from ijepa.cli import main

    for name, message in wrong_files(tmp_path).items():
        out = tmp_path / "out"
        code = main(["import", str(tmp_path / f"{name}.pth.tar"), "--out", str(out), "--heads", "5"])
        error = capsys.readouterr().err
        assert code == 1, name
        assert next(line for line in error.splitlines() if not line.startswith("checking: ")).startswith(
            "ijepa import: "
        )
        assert "Traceback" not in error
        assert re.search(message, error), (name, error)
        assert not out.exists()
    assert not (tmp_path / "ran").exists()


def test_an_import_reports_what_was_inferred(tmp_path, capsys):
    from ijepa.cli import main

    meta = meta_layout.write(tmp_path / "odd.pth.tar", meta_layout.document())
    assert main(["import", str(meta), "--out", str(tmp_path / "out"), "--heads", "5", "--licence", "CC0-1.0"]) == 0
    said = capsys.readouterr()

    assert said.out == f"{tmp_path / 'out'}\n"
    assert "5 blocks of width 40, 4x4 patches of 4 pixels\n5 heads, from --heads\n" in said.err
    assert "trained on images that its file does not name; licence CC0-1.0\n" in said.err
    assert main(["import", str(meta), "--out", str(tmp_path / "out")]) == 1
    assert "out is not empty; use another --out" in capsys.readouterr().err
