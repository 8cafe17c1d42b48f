import os

import pytest

from models.io import MAX_DEPTH, check_safetensors_header, read_json, read_within


def test_a_file_is_read_up_to_a_size(tmp_path):
    (tmp_path / "file").write_bytes(b"12345")
    assert read_within(tmp_path / "file", 5) == b"12345"
    with pytest.raises(ValueError, match="it has 5 bytes, at most 4 are allowed"):
        read_within(tmp_path / "file", 4)


def test_what_would_never_end_is_not_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for endless in ("/dev/zero", tmp_path / "pipe"):
        with pytest.raises(ValueError, match="not a regular file"):
            read_within(tmp_path.joinpath(endless), 10)


@pytest.mark.parametrize(("left", "right"), [("[", "]"), ('{"a":', "}")])
def test_json_is_read_up_to_a_depth(tmp_path, left, right):
    for depth, fits in ((MAX_DEPTH, True), (MAX_DEPTH + 1, False), (500, False), (200_000, False)):
        (tmp_path / "document.json").write_text(left * depth + "1" + right * depth)
        if fits:
            read_json(tmp_path / "document.json")
        else:
            with pytest.raises(ValueError, match=f"nested deeper than {MAX_DEPTH}"):
                read_json(tmp_path / "document.json")


def test_a_safetensors_header_is_bounded_before_it_is_parsed(tmp_path):
    (tmp_path / "file").write_bytes((90_000_000).to_bytes(8, "little") + b"{")
    with pytest.raises(ValueError, match="its header has 90,000,000 bytes"):
        check_safetensors_header(tmp_path / "file")


def test_half_a_character_is_an_error_and_a_whole_one_is_not(tmp_path):
    (tmp_path / "document.json").write_text(r'["\ud83d\ude00"]')
    assert read_json(tmp_path / "document.json") == ["\U0001f600"]
    (tmp_path / "document.json").write_text(r'{"\uD83D": 1}')
    with pytest.raises(ValueError, match="half a character"):
        read_json(tmp_path / "document.json")


def test_the_number_of_values_is_bounded(tmp_path):
    (tmp_path / "document.json").write_text("[" + "[1, 2]," * 5 + "3]")
    assert len(read_json(tmp_path / "document.json", max_values=16)) == 6
    with pytest.raises(ValueError, match="it has more than 15 values"):
        read_json(tmp_path / "document.json", max_values=15)
