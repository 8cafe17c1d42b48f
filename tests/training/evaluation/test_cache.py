import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import models
from training.evaluation import cache as module
from training.evaluation.cache import SOURCES, Cache, digest_of_code


def test_the_files_that_were_not_used_for_longest_are_deleted(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MAX_BYTES", 9500)
    cache = Cache(tmp_path)
    make = partial(dict, a=np.zeros(1000, dtype=np.float32))
    for i, key in enumerate("abab"):
        cache.arrays([key], make)
        os.utime(tmp_path / f"{module.digest(key)}.safetensors", (1000 + i, 1000 + i))
    os.utime(tmp_path / f"{module.digest('a')}.safetensors", (2000, 2000))
    cache.arrays(["c"], make)
    assert {path.stem for path in tmp_path.iterdir()} == {module.digest("a"), module.digest("c")}


def test_two_probes_may_keep_the_same_thing_at_once(tmp_path):
    cache = Cache(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: cache.arrays(["x"], lambda: {"a": np.ones(50_000)})["a"].sum(), range(64)))
    assert found == [50_000] * 64


def test_a_cache_that_cannot_be_written_loses_nothing(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    assert Cache(tmp_path / "file" / "cache").values(["x"], lambda: {"b": 2}) == {"b": 2}
    assert "cannot be kept" in caplog.text


def test_a_broken_file_in_the_cache_is_made_again(tmp_path):
    cache = Cache(tmp_path)
    cache.arrays(["x"], lambda: {"a": np.ones(3)})
    cache.values(["x"], lambda: {"b": 1})
    for path in tmp_path.iterdir():
        path.write_bytes(b"torn")
    assert cache.arrays(["x"], lambda: {"a": np.full(3, 2.0)})["a"][0] == 2
    assert cache.values(["x"], lambda: {"b": 2}) == {"b": 2}


@pytest.mark.parametrize(
    "file",
    [
        "models/images/preprocess.py",
        "models/images/sources/folder.py",
        "models/network/encoder.py",
        "models/inference/prediction.py",
        "models/export/graphs.py",
        "models/rng.py",
        "training/evaluation/knn.py",
        "training/evaluation/a_new_probe.py",
    ],
)
def test_a_key_changes_with_the_code_that_computes(file, tmp_path):
    root = Path(models.__file__).parents[1]
    for source in SOURCES:
        (tmp_path / source).parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if (root / source).is_dir() else shutil.copyfile
        copy(root / source, tmp_path / source)
    before = digest_of_code(tmp_path)
    assert before == digest_of_code(root)
    with (tmp_path / file).open("a") as changed:
        changed.write("\n")
    assert digest_of_code(tmp_path) != before


def test_a_changed_image_changes_a_folders_digest(tmp_path):
    from PIL import Image

    from models.images.sources.table import open_source

    for name in ("a/1.png", "b/2.png"):
        (tmp_path / name).parent.mkdir()
        Image.new("L", (8, 8), 10).save(tmp_path / name)
    before = open_source(str(tmp_path)).digest()
    assert open_source(str(tmp_path)).digest() == before
    Image.new("L", (8, 8), 11).save(tmp_path / "a/1.png")
    assert open_source(str(tmp_path)).digest() != before
