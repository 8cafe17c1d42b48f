import json

import pytest

from models.bundle.results import Results, ScoreRow, SwapRow, read_results
from models.errors import ConfigError


def row(features, accuracy, probe="linear"):
    return ScoreRow(features=features, dimensions=8, probe=probe, accuracy=accuracy, low=0, high=1, chosen="")


def test_the_accuracy_of_a_precision_is_compared_by_pooling():
    rows = (row("trained, mean", 0.9), row("trained in int8, mean", 0.8975), row("trained in int8, mean", 0.1, "k-NN"))
    results = Results(checkpoint_sha256="", network="", grid=(1, 1), data="", rows=rows)
    assert results.difference("int8") == {"mean": -0.25}
    assert results.difference("float16") == {}


def test_results_with_the_old_field_names_are_read(tmp_path):
    swap = SwapRow(
        network="trained",
        pairs=1,
        higher=1,
        low=0,
        high=1,
        own_energy=0.1,
        mismatched_energy=0.2,
        all_pairs=1,
        all_higher=1,
    )
    results = Results(
        checkpoint_sha256="c", network="n", grid=(1, 1), data="d", rows=(row("trained, mean", 0.5),), swap=(swap,)
    )
    text = results.model_dump_json().replace("dimensions", "numbers").replace("mismatched_energy", "foreign_energy")
    (tmp_path / "old.json").write_text(text)
    assert read_results(tmp_path / "old.json") == results


@pytest.mark.parametrize("text", ["", "[]", json.dumps({"rows": []}), "\x00"])
def test_another_file_is_an_error_in_one_sentence(tmp_path, text):
    (tmp_path / "results.json").write_text(text)
    with pytest.raises(ConfigError, match=r"results\.json is not what 'ijepa probe --json' writes"):
        read_results(tmp_path / "results.json")


def test_the_markdown_has_a_row_for_each_kind_of_features_and_a_column_for_each_probe():
    rows = (row("chance", 0.1, "most frequent class"), row("trained, mean", 0.9), row("trained, mean", 0.8, "k-NN"))
    text = Results(checkpoint_sha256="", network="checkpoint", grid=(1, 1), data="ten images", rows=rows).markdown()

    assert text.startswith("Of the checkpoint, on ten images.\n")
    assert "| features | dimensions | linear | k-NN |\n" in text
    assert "| trained, mean | 8 | 90.00 (0.0 to 100.0) | 80.00 (0.0 to 100.0) |" in text
    assert "Chance: 10.00" in text
