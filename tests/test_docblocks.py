"""The runner of the documentation's code blocks: it runs them, in order, and a block that fails is a failure."""

import pytest

from tests import docblocks, fresh_clone


def page_of(tmp_path, monkeypatch, text):
    for module in (docblocks, fresh_clone):
        monkeypatch.setattr(module, "ROOT", tmp_path / "checkout")
    (tmp_path / "checkout" / "docs" / "examples").mkdir(parents=True)
    page = tmp_path / "checkout" / "page.md"
    page.write_text(text)
    (tmp_path / "clone").mkdir()
    return page, tmp_path / "clone"


def test_blocks_run_in_order_in_one_folder_and_one_namespace(tmp_path, monkeypatch):
    first = "```python\nx = 1\nprint(x, end='')\n```\n\n```sh\necho two > out\n```\n\n"
    text = f"{first}```python\nassert x == 1\nopen('three', 'w').write(open('out').read())\n```\n"
    page, clone = page_of(tmp_path, monkeypatch, text)
    docblocks.run_page(page, clone)
    assert (clone / "three").read_text() == "two\n"


@pytest.mark.parametrize(
    "code", ["```sh\nfalse\ntrue\n```\n", "```sh\nfalse | true\n```\n", "```python\nassert False\n```\n"]
)
def test_a_block_that_fails_is_a_failure(tmp_path, monkeypatch, code):
    page, clone = page_of(tmp_path, monkeypatch, code)
    with pytest.raises(AssertionError):
        docblocks.run_page(page, clone)


def test_a_marked_block_is_not_run_and_says_why(tmp_path, monkeypatch):
    page, clone = page_of(tmp_path, monkeypatch, "<!-- not run: needs a GPU -->\n```sh\nfalse\n```\n")
    docblocks.run_page(page, clone)
    assert [block.not_run for block in docblocks.read_blocks(page)] == ["needs a GPU"]


def test_words_are_added_to_training_only():
    code = "ijepa train debug \\\n    --out runs/x   # a comment\nijepa export runs/x --out b\n"
    assert docblocks.with_words(code, "optim.epochs=1").splitlines() == [
        "ijepa train debug      --out runs/x   optim.epochs=1",
        "ijepa export runs/x --out b",
    ]


def test_a_server_that_ends_is_a_failure_with_what_it_printed(tmp_path, monkeypatch):
    page, clone = page_of(tmp_path, monkeypatch, "<!-- server -->\n```sh\necho no luck\n```\n")
    with pytest.raises(AssertionError, match="no luck"):
        docblocks.run_page(page, clone)
