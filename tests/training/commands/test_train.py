"""`ijepa train` as users call it."""

import json
import shlex

import pytest
from PIL import Image

FEW = [
    "optim.batch_size=4",
    "optim.epochs=2",
    "optim.warmup=0",
    "run.threads=1",
    "run.workers=1",
    "run.tensorboard=false",
]


def train(*arguments: str) -> int:
    from ijepa.cli import main

    return main(["train", *map(str, arguments)])


@pytest.fixture
def colours(tmp_path):
    """Twelve small colour images."""
    folder = tmp_path / "colours"
    folder.mkdir()
    for i in range(12):
        Image.new("RGB", (20 + i, 24), (20 * i, 90, 200 - 10 * i)).save(folder / f"{i:02}.png")
    return folder


@pytest.fixture
def run(colours, tmp_path, one_thread, capsys):
    """A finished run on them, and what it printed."""
    assert train("debug", "--data", colours, "--dataset-name", "Colours", "--out", tmp_path / "run", *FEW) == 0
    return tmp_path / "run", capsys.readouterr()


def test_a_run_says_what_it_inferred_what_it_reached_and_what_comes_next(run):
    from models.checkpoint.store import read_checkpoint

    out, printed = run
    assert printed.out == f"{out}/step-00000006\n"
    assert "the images are in colour: training with network.channels=3 and ImageNet's mean and std\n" in printed.err
    assert f"finished step 6 of 6 in {out}: loss " in printed.err
    for name in ("explained_variance", "rankme", "images_per_s"):
        assert f"{name} " in printed.err
    assert f"next: ijepa export {out} --out bundles/run, or ijepa probe {out} --data " in printed.err
    checkpoint = read_checkpoint(out)
    assert checkpoint.config.encoder.channels == 3
    assert checkpoint.training.trained_on == "the 12 images of Colours"
    assert checkpoint.training.recipe == "debug"


def test_a_run_resumes_with_nothing_retyped(run, capsys):
    import shutil

    out, _ = run
    record = json.loads((out / "config.json").read_text())
    shutil.rmtree(out / "step-00000006")
    (out / "latest").write_text("step-00000005\n")

    assert train("--resume", out, "run.keep=1") == 0

    printed = capsys.readouterr()
    assert "steps 5 to 6 of 4 images" in printed.err
    assert printed.out == f"{out}/step-00000006\n"
    assert [path.name for path in sorted(out.glob("step-*"))] == ["step-00000006"]
    again = json.loads((out / "config.json").read_text())
    assert again == record | {"run": record["run"] | {"keep": 1}}


def test_the_same_command_resumes_it_too(run, colours, capsys):
    out, _ = run
    assert train("debug", "--data", colours, "--out", out, *FEW) == 0
    assert "steps 6 to 6" in capsys.readouterr().err


def test_more_epochs_for_a_finished_run_point_to_init(run, capsys):
    out, _ = run
    (out.parent / "run-2").mkdir()
    assert train("--resume", out, "optim.epochs=3") == 1

    error = capsys.readouterr().err.splitlines()[-1]
    assert f"{out} is finished and was trained with other settings: optim.epochs was 2.0, is 3.0; start a" in error
    assert "continue it" not in error
    _, _, command = error.partition("start a new run from its weights: ijepa ")
    assert command.startswith(f"train debug --data {out.parent}/colours --init {out} --out {out}-3 ")
    assert "network." not in command
    assert train(*shlex.split(command)[1:]) == 0
    assert "finished step 9 of 9" in capsys.readouterr().err


def test_another_network_for_a_run_points_to_a_new_run_from_the_beginning(run, capsys):
    out, _ = run
    assert train("--resume", out, "network.size=nano") == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert "start a new run from the beginning: ijepa train debug --data " in error
    assert "network.size='\"nano\"'" in error or "'network.size=\"nano\"'" in error
    assert "--init" not in error


def test_a_run_resumes_from_another_working_directory_and_with_moved_images(
    colours, tmp_path, one_thread, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert train("debug", "--data", "colours", "--out", "run", *FEW) == 0
    assert json.loads((tmp_path / "run" / "config.json").read_text())["data"]["uri"] == str(colours)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert train("--resume", "../run") == 0
    colours.rename(tmp_path / "moved")
    assert train("--resume", "../run", "--data", "../moved") == 0
    (tmp_path / "run" / "config.json").unlink()
    assert train("--resume", "../run", "--data", "../moved") == 0


def test_a_run_from_a_checkpoint_takes_its_channels_mean_and_std(colours, tmp_path, one_thread, capsys):
    from models.checkpoint.store import read_checkpoint

    first, second = tmp_path / "first", tmp_path / "second"
    given = ["network.mean=[0.1,0.2,0.3]", "network.std=[0.4,0.5,0.6]"]
    assert train("debug", "--data", colours, "--out", first, *FEW, *given) == 0
    more = [*FEW, "optim.epochs=0.25"]
    assert train("debug", "data.uri=synthetic:12", "--init", first, "--out", second, *more) == 0
    assert (
        "network.channels=3, network.mean=[0.1,0.2,0.3], network.std=[0.4,0.5,0.6] as in the checkpoint"
        in capsys.readouterr().err
    )
    assert read_checkpoint(second).config == read_checkpoint(first).config

    assert train("debug", "--init", first, "--out", tmp_path / "third", *FEW, "network.channels=1") == 1
    error = capsys.readouterr().err
    assert f"network.channels=1, but {first}/step-00000006 takes images of network.channels=3; leave" in error


def test_imported_weights_are_not_a_run(run, tmp_path, capsys):
    """Nor where a folder's config.json is of something else."""
    from models.checkpoint.store import read_checkpoint, update_latest, write_checkpoint

    checkpoint = read_checkpoint(run[0])
    folder = tmp_path / "imported" / "weights"
    write_checkpoint(folder, checkpoint.config, checkpoint.tensors, {"settings": {"masking": {"name": "random"}}})
    (tmp_path / "imported" / "config.json").write_text('{"foreign": true}')
    sentence = f"{folder} is not a training run (imported weights); start from it with --init {folder}"
    assert train("--resume", folder) == 1
    assert sentence in capsys.readouterr().err
    update_latest(tmp_path / "imported", folder)
    assert train("debug", "--out", tmp_path / "imported") == 1
    assert sentence in capsys.readouterr().err


def test_a_step_folder_beside_a_foreign_file_has_its_own_settings(run, tmp_path, capsys):
    import shutil

    copy = shutil.copytree(run[0] / "step-00000006", tmp_path / "alone" / "step-00000006")
    (tmp_path / "alone" / "config.json").write_text("[]")
    assert train("--resume", copy) == 0
    assert "finished step 6 of 6" in capsys.readouterr().err


def test_a_run_of_a_newer_version_is_an_error_that_says_so(run, capsys):
    record = json.loads((run[0] / "config.json").read_text())
    (run[0] / "config.json").write_text(json.dumps(record | {"format": 3}))
    assert train("--resume", run[0]) == 1
    assert "config.json has run format 3; this version reads formats up to 2" in capsys.readouterr().err


def test_what_a_source_skipped_is_said_once(colours, tmp_path, one_thread, capsys):
    (colours / "notes.txt").write_text("not an image")
    assert train("debug", "--data", colours, "--out", tmp_path / "run", *FEW, "optim.epochs=0.3") == 0
    assert capsys.readouterr().err.count("skipped among the images: 1 .txt") == 1


def test_a_run_from_the_weights_of_another_resumes_without_naming_them(run, colours, tmp_path, capsys):
    out, _ = run
    second = ["debug", "--data", colours, "--init", out, "--out", tmp_path / "second", *FEW]
    assert train(*second) == 0
    assert train("--resume", tmp_path / "second") == 0
    assert "finished step 6 of 6" in capsys.readouterr().err


def test_neither_a_recipe_nor_a_run_is_wrong_usage(capsys):
    assert train("optim.lr=1") == 2
    assert "give a recipe (debug, fashion-mnist), or the run to continue with --resume DIR" in capsys.readouterr().err


def test_colour_images_for_a_grey_network_are_a_warning(colours, tmp_path, one_thread, capsys):
    assert train("debug", "--data", colours, "--out", tmp_path / "run", *FEW, "network.channels=1") == 0
    assert "it will see them in grey" in capsys.readouterr().err


def test_a_run_that_learned_nothing_ends_with_a_warning_that_says_so(colours, tmp_path, one_thread, capsys):
    assert train("debug", "--data", colours, "--out", tmp_path / "run", *FEW, "optim.start_lr=3", "optim.lr=3") == 0
    warning = next(line for line in capsys.readouterr().err.splitlines() if "warning: " in line)
    assert "explained_variance is -" in warning
    assert "try" in warning


def test_broken_images_are_counted_at_the_end(colours, tmp_path, one_thread, capsys):
    for name in ("03.png", "07.png"):
        (colours / name).write_bytes(b"not an image")
    assert train("debug", "--data", colours, "--out", tmp_path / "run", *FEW) == 0
    sentence = "2 of 12 images could not be read; others were used in their place"
    assert sentence in capsys.readouterr().err
    assert train("--resume", tmp_path / "run") == 0
    assert sentence in capsys.readouterr().err


def test_a_short_run_has_rows_and_checkpoints_before_its_end(colours, tmp_path, one_thread):
    """With the recipe's intervals it had one row and none."""
    assert train("debug", "--data", colours, "--out", tmp_path / "run", *FEW, "run.keep=9") == 0
    assert len((tmp_path / "run" / "log.csv").read_text().splitlines()) == 1 + 6
    assert len(list((tmp_path / "run").glob("step-*"))) == 6


def test_photographs_are_trained_on_as_they_are(photos, tmp_path, one_thread, capsys):
    """Odd sizes, grey and colour, some turned by EXIF: no error, in colour."""
    from models.checkpoint.store import read_checkpoint

    settings = [*FEW[3:], "optim.batch_size=20", "optim.epochs=1", "optim.warmup=0", "run.log_every=5"]
    assert train("debug", "--data", photos, "--out", tmp_path / "run", *settings) == 0
    printed = capsys.readouterr().err
    assert "could not be read" not in printed
    assert "steps 0 to 5 of 20 images" in printed
    assert read_checkpoint(tmp_path / "run").config.encoder.channels == 3


@pytest.mark.parametrize(
    ("compiled", "message"),
    [
        (False, "stopping after this step, which is saved"),
        (True, "stopping when compiling and the first step are done"),
    ],
)
def test_ctrl_c_says_that_it_will_stop(colours, tmp_path, one_thread, monkeypatch, capfd, compiled, message):
    import os
    import signal

    import training.trainer as module

    original = module.train_step  # type: ignore[attr-defined]

    def interrupted(*args):
        os.kill(os.getpid(), signal.SIGINT)
        return original(*args)

    monkeypatch.setattr(module, "train_step", interrupted)
    monkeypatch.setattr(module, "compile_parts", lambda model: None)
    compiling = f"run.compile={str(compiled).lower()}"
    assert train("debug", "--data", colours, "--out", tmp_path / "run", *FEW, compiling) == 130
    assert f"{message}; Ctrl-C again stops at once" in capfd.readouterr().err
    assert (tmp_path / "run" / "latest").read_text() == "step-00000001\n"


def test_ctrl_c_that_also_stops_the_compiler_is_no_crash(colours, tmp_path, one_thread, monkeypatch):
    """A terminal sends it to the compiler's process as well, and torch then raises what this stands for."""
    import os
    import signal

    import training.trainer as module

    def killed(*_):
        os.kill(os.getpid(), signal.SIGINT)
        raise RuntimeError("CppCompileError: C++ compile error")

    monkeypatch.setattr(module, "train_step", killed)
    assert train("debug", "--data", colours, "--out", tmp_path / "run", *FEW) == 130
