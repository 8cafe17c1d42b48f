import json
import shutil
from pathlib import Path

import pytest

from models.bundle.reader import find_bundle, read_bundle
from models.errors import BundleError


@pytest.fixture
def copy(golden, tmp_path):
    return shutil.copytree(golden, tmp_path / "bundle")


def test_the_golden_bundle_is_whole_and_small(golden):
    bundle = read_bundle(golden)

    assert bundle.manifest.id == "golden"
    assert sum(file.size for file in bundle.manifest.files.values()) < 300_000


def test_an_altered_file_does_not_load(copy):
    graph = copy / "encoder.onnx"
    data = bytearray(graph.read_bytes())
    data[5000] ^= 1
    graph.write_bytes(data)

    with pytest.raises(BundleError, match=r"encoder\.onnx is not the file that the manifest describes"):
        read_bundle(copy)


def test_a_bundle_replaces_only_files_that_a_manifest_lists(copy, tmp_path):
    """A manifest.json may be another program's, and a bundle's folder may hold somebody's notes."""
    from models.bundle.reader import check_replaceable

    check_replaceable(copy)
    (copy / "notes.txt").write_text("mine")
    with pytest.raises(BundleError, match=r"has notes\.txt besides a bundle"):
        check_replaceable(copy)
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "manifest.json").write_text('{"name": "my web app"}')
    with pytest.raises(BundleError, match="is not empty and is not a bundle"):
        check_replaceable(tmp_path / "app")


def test_a_missing_file_is_named(copy):
    (copy / "predictor.onnx").unlink()
    with pytest.raises(BundleError, match=r"lacks predictor\.onnx"):
        read_bundle(copy)


@pytest.mark.parametrize("name", ["encoder.onnx", "canonical.safetensors"])
def test_weights_that_the_manifest_does_not_list_do_not_load(copy, name):
    manifest = json.loads((copy / "manifest.json").read_text())
    del manifest["files"][name]
    (copy / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match="so it cannot be verified"):
        read_bundle(copy)


def test_a_newer_format_is_an_error_with_what_reads_it(copy):
    manifest = json.loads((copy / "manifest.json").read_text())
    (copy / "manifest.json").write_text(json.dumps(manifest | {"format": 7}))
    with pytest.raises(
        BundleError, match="bundle format 7; this version reads up to 3, install a newer ijepa-features"
    ):
        read_bundle(copy)


@pytest.mark.parametrize("text", ["", "no json", "[]", "{}", '{"format": 1, "id": "x"}'])
def test_a_malformed_manifest_is_an_error_in_one_sentence(copy, text):
    (copy / "manifest.json").write_text(text)
    with pytest.raises(BundleError, match=r"manifest\.json (cannot be read|is malformed)"):
        read_bundle(copy)


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A working directory and a home without bundles."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    return tmp_path


def test_an_unknown_name_lists_what_there_is(elsewhere, golden):
    shutil.copytree(golden, elsewhere / "bundles" / "mine")
    with pytest.raises(BundleError, match=r"there is no bundle 'nowhere': .* not one of mine, fashion-mnist-nano"):
        find_bundle("nowhere")


def test_a_name_is_found_in_bundles_then_in_the_users_folder_then_in_the_zoo(elsewhere, golden):
    from models.bundle.reader import ZOO, user_bundles, zoo

    here, users = Path("bundles") / "mine", elsewhere / "home" / "ijepa-features" / "bundles" / "mine"
    assert find_bundle(zoo()[0]) == ZOO / zoo()[0]
    shutil.copytree(golden, users)
    assert users.parent == user_bundles()
    assert find_bundle("mine") == users
    shutil.copytree(golden, here)
    assert find_bundle("mine") == here
    assert find_bundle(str(users)) == users


@pytest.mark.parametrize("name", ["runs/mine", "runs/mine/step-00000003"])
def test_a_run_or_a_checkpoint_is_not_a_bundle_and_the_message_says_how_to_export_it(elsewhere, name):
    step = elsewhere / "runs" / "mine" / "step-00000003"
    step.mkdir(parents=True)
    (step / "model.safetensors").touch()
    (step.parent / "latest").write_text("step-00000003\n")
    with pytest.raises(BundleError) as error:
        find_bundle(name)
    suggested = f"bundles/{Path(name).name}"
    assert str(error.value) == (
        f"{name} is a checkpoint, not a bundle; export it first: ijepa export {name} --out {suggested}"
    )


def test_the_manifest_of_another_bundle_is_completed_with_the_files_of_the_folder(copy):
    from models.bundle.reader import read_manifest, write_manifest

    before = read_manifest(copy)
    (copy / "notes.txt").write_text("more")
    written = write_manifest(copy, before.model_copy(update={"id": "renamed"}))

    assert read_bundle(copy).manifest == written
    assert (written.id, written.format) == ("renamed", 3)
    assert written.files.keys() == before.files.keys() | {"notes.txt"}
