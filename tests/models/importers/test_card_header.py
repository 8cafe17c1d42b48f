import pytest

from models.importers.card_header import MAX_HEADER_BYTES, read_header

BOMB = (
    "a0: &a0 [x]\n"
    + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12))
    + "license: *a11\n"
)


@pytest.fixture
def card(tmp_path):
    def write(header, before="---\n", after="\n---\n# A model\n"):
        (tmp_path / "README.md").write_text(before + header + after)
        return tmp_path / "README.md"

    return write


def test_the_header_is_read_as_texts(card):
    assert read_header(card("license: other\nlicense_name: 'no: commerce'\ntags:\n- a\n- 1.0")) == {
        "license": "other",
        "license_name": "no: commerce",
        "tags": ["a", "1.0"],
    }
    assert read_header(card("license: [mit, apache-2.0]"))["license"] == ["mit", "apache-2.0"]


def test_a_card_without_a_header_has_no_fields(card):
    assert read_header(card("license: mit", before="# A model\n")) == {}
    assert read_header(card("just text")) == {}
    assert read_header(card("x: " + "y" * MAX_HEADER_BYTES)) == {}


@pytest.mark.parametrize(
    "header",
    [BOMB, "a: &a [*a]", "[" * 50_000, "a: [", "!!python/object/apply:os.system [x]: {", "? [a]\n: b", "\x00"],
    ids=["aliases", "itself", "deep", "open", "code", "a list as a name", "a control character"],
)
def test_a_hostile_header_is_an_error(card, header):
    with pytest.raises(ValueError, match=r"aliases are not read|cannot be read"):
        read_header(card(header))
