"""The documentation is whole, its links lead somewhere, its code runs, and what the tables of the code hold is in it."""

import importlib
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any, get_args

import pytest

from tests import docblocks

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES_FOR_READERS = (
    "serve", "api", "python", "embed", "train", "evaluate", "weights", "operations", "performance", "architecture", "extending",
    "stability",
)  # fmt: skip
BLOCKS = [block for page in docblocks.pages() for block in docblocks.read_blocks(page)]
RUN_PAGES = [
    page for page in docblocks.pages()
    if any(b.page == page and b.language in docblocks.RUN_LANGUAGES and b.not_run is None for b in BLOCKS)
]  # fmt: skip
NOT_RUN = [block for block in BLOCKS if block.not_run is not None]


def read(name: str) -> str:
    return (DOCS / name).read_text()


def markdown_files() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [ROOT / name for name in listed.stdout.split() if (ROOT / name).exists()]


in_a_checkout = pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a git checkout")


@pytest.mark.parametrize("page", RUN_PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_code_blocks_of_a_page_run(page, tmp_path):
    docblocks.run_page(page, tmp_path)


@pytest.mark.parametrize("block", NOT_RUN, ids=lambda block: block.place)
def test_a_code_block_that_is_not_run_says_why(block):
    assert len(block.not_run.split()) >= 3, block.place
    pytest.skip(f"{block.place} is not run: {block.not_run}")


def test_every_fence_is_a_block_of_a_known_language_with_a_known_mark():
    known = (*docblocks.RUN_LANGUAGES, *docblocks.OTHER_LANGUAGES)
    for block in BLOCKS:
        assert block.language in known, block.place
        assert not block.mark or block.mark == "server" or block.mark.startswith(("not run: ", "run with: ")), (
            block.place
        )
    for page in docblocks.pages():
        fences = len(re.findall(r"^\s*```", page.read_text(), re.MULTILINE))
        assert fences == 2 * sum(block.page == page for block in BLOCKS), page


def test_every_page_is_in_the_readme():
    readme = (ROOT / "README.md").read_text()
    assert {page.stem for page in DOCS.glob("*.md")} == set(PAGES_FOR_READERS)
    for name in PAGES_FOR_READERS:
        assert f"docs/{name}.md" in readme, name


@in_a_checkout
def test_pages_have_no_gaps():
    for page in markdown_files():
        assert "@@" not in page.read_text(), f"{page} has a gap to be filled"


@in_a_checkout
def test_links_lead_somewhere():
    for page in markdown_files():
        for target in links_of(page.read_text()):
            path, _, anchor = target.partition("#")
            file = (page.parent / path) if path else page
            assert file.exists(), f"{page.relative_to(ROOT)} links to {target}, which does not exist"
            if anchor and file.suffix == ".md":
                assert anchor in anchors_of(file.read_text()), f"{page.relative_to(ROOT)}: no heading for {target}"


def links_of(text: str) -> list[str]:
    without_code = re.sub(r"^```.*?^```$|`[^`\n]*`", "", text, flags=re.MULTILINE | re.DOTALL)
    return re.findall(r"\]\((?!https?:|mailto:)([^)\s]+)\)", without_code)


def anchors_of(text: str) -> set[str]:
    """Headings as GitHub makes anchors of them."""
    without_code = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", without_code, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("folder", ["decisions", "experiments"])
def test_every_decision_and_experiment_is_in_its_index(folder):
    index = read(f"{folder}/README.md")
    files = [file.name for file in (DOCS / folder).glob("*.md") if file.name != "README.md"]
    assert files
    for name in files:
        assert f"({name})" in index, name
        title, blank, date = (DOCS / folder / name).read_text().splitlines()[:3]
        assert title.startswith("# "), name
        assert blank == "", name
        assert re.fullmatch(r"\d{4}-\d{2}-\d{2}", date), name
    if folder == "decisions":
        assert sorted(name[:4] for name in files) == [f"{n:04d}" for n in range(1, len(files) + 1)]


@in_a_checkout
def test_code_that_points_to_a_page_points_to_one_that_exists():
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "*.py", "*.md", "*.html", "*.yaml", "*.toml", "Makefile"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    for name in listed.stdout.split():
        if name.startswith(("docs/decisions/", "docs/experiments/")) or not (ROOT / name).exists():
            continue
        for page in re.findall(r"\bdocs/[\w/-]+\.md\b", (ROOT / name).read_text()):
            assert (ROOT / page).exists(), f"{name} names {page}"
        for number in re.findall(r"\bdocs/decisions/(\d{4})\b", (ROOT / name).read_text()):
            assert list((DOCS / "decisions").glob(f"{number}-*.md")), f"{name} names decision {number}"


def test_every_error_code_is_documented_with_its_status():
    from service.errors import all_errors

    page = read("api.md")
    for error in all_errors():
        assert re.search(rf"\|\s*{error.status}\s*\|[^\n]*`{error.code}`", page), (error.status, error.code)


def test_every_route_and_option_is_documented(golden):
    from service.app import create_app
    from service.settings import read_settings

    page = read("api.md")
    document = create_app(read_settings(bundle=(str(golden),), threads=1)).openapi()
    for path in document["paths"]:
        assert f"`{path}`" in page or f" {path}`" in page, path
    for name, schema in document["components"]["schemas"].items():
        if name.endswith("Body"):
            for field in schema["properties"]:
                assert f"`{field}`" in page, (name, field)


def test_every_setting_is_documented_with_its_values():
    from service.settings import Settings

    table = [line for line in read("operations.md").splitlines() if line.startswith("| `IJEPA_")]
    for name, field in Settings.model_fields.items():
        (row,) = [line for line in table if f"`IJEPA_{name.upper()}`" in line]
        for value in get_args(field.annotation):
            assert not isinstance(value, str) or f"`{value}`" in row, (name, value)
    documented = {name for line in table for name in re.findall(r"`IJEPA_(\w+)`", line)}
    assert documented == {name.upper() for name in Settings.model_fields}


def test_every_metric_is_documented(golden):
    from service.app import create_app
    from service.settings import read_settings

    page = read("operations.md")
    app = create_app(read_settings(bundle=(str(golden),), threads=1))
    for family in app.state.service.telemetry.registry.collect():
        assert f"`{family.name}" in page, family.name


def test_every_verb_and_recipe_is_documented():
    from ijepa.cli import VERBS
    from training.recipes import RECIPES

    readme, training = (ROOT / "README.md").read_text(), read("train.md")
    for verb in VERBS:
        assert f"ijepa {verb}" in readme, verb
    for recipe in RECIPES:
        assert f"`{recipe}`" in training, recipe


@pytest.mark.parametrize(
    "verb", ["serve", "embed", "train", "probe", "models", "export", "import", "calibrate", "bench"]
)
def test_every_option_of_a_verb_is_documented(verb):
    from ijepa.cli import VERBS, load_command, make_parser

    assert verb in VERBS
    text = "\n".join(page.read_text() for page in DOCS.glob("*.md"))
    for action in make_parser(verb, load_command(verb))._actions:
        for option in action.option_strings:
            assert not option.startswith("--") or option == "--help" or re.search(rf"{option}\b", text), (verb, option)


FAMILY_ROW = re.compile(r"^\| ([^|]+) \| `([\w.]+)` \| `([\w.]+)` \| ([^|]+) \|$", re.MULTILINE)
FAMILIES = FAMILY_ROW.findall(read("extending.md"))


@pytest.mark.parametrize(("family", "interface", "table", "members"), FAMILIES, ids=[row[0] for row in FAMILIES])
def test_a_family_of_the_page_about_extending_is_the_one_of_the_code(family, interface, table, members):
    find(interface)
    assert re.findall(r"`([^`]+)`", members) == [str(name) for name in find(table)]


def test_the_page_about_extending_has_every_family():
    """A table of a family is a module-level dict in capitals that maps names to members."""
    documented = {table for _, _, table, _ in FAMILIES}
    assert {
        "models.images.sources.table.SOURCES", "models.runtimes.table.RUNTIMES", "models.config.SIZES",
        "training.recipes.RECIPES", "ijepa.cli.VERBS",
    } <= documented  # fmt: skip


def find(dotted: str) -> Any:
    module, _, name = dotted.rpartition(".")
    return getattr(importlib.import_module(module), name)


def test_the_version_has_an_entry_in_the_changelog():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert re.search(rf"^## (Unreleased|{re.escape(version)})\b", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)


def test_constraints_are_names_and_versions_alone():
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        assert re.fullmatch(r"[A-Za-z0-9_.-]+==[0-9][A-Za-z0-9.!+]*", line), line


NEW_THINGS = re.findall(
    r"^\| ([^|]+) \| `([^`]+)` \| `([^`]+)` in `([^`]+)`: [^|]+ \|$",
    read("architecture.md").partition("## Where new things go")[2],
    re.MULTILINE,
)


@pytest.mark.parametrize(("what", "file", "name", "place"), NEW_THINGS, ids=[row[0] for row in NEW_THINGS])
def test_where_a_new_thing_goes_exists(what, file, name, place):
    """The line to change is there. Once the thing itself is there its row goes."""
    assert not (ROOT / file).exists(), f"{file} exists; delete its row"
    assert re.search(
        rf"^(?:(?:    )?(?:async )?def {name}\b|class {name}\b|{name}\b)", (ROOT / place).read_text(), re.MULTILINE
    )


def test_all_that_is_planned_has_a_place():
    assert len(NEW_THINGS) == 6
