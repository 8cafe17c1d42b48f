"""The rules of the house as tests: what is documented, what is logged, what the repository may say."""

import re
import subprocess
from pathlib import Path

import pytest

from service.errors import all_errors

ROOT = Path(__file__).parents[2]
API = (ROOT / "docs" / "api.md").read_text()


def test_every_error_code_is_documented_with_its_status():
    for error in all_errors():
        assert re.search(rf"\|\s*{error.status}\s*\|[^\n]*`{error.code}`", API), (error.status, error.code)


def test_every_route_is_documented(golden):
    from service.app import create_app
    from service.settings import read_settings

    for path in create_app(read_settings(bundle=(str(golden),), threads=1)).openapi()["paths"]:
        assert f"`{path}`" in API or f"{path}`" in API, path


def test_every_setting_is_documented_with_its_values():
    from typing import get_args

    from service.settings import Settings

    table = {line for line in API.splitlines() if line.startswith("| `IJEPA_")}
    for name, field in Settings.model_fields.items():
        (row,) = [line for line in table if f"`IJEPA_{name.upper()}`" in line]
        for value in get_args(field.annotation):
            assert not isinstance(value, str) or f"`{value}`" in row, (name, value)


def test_every_verb_and_recipe_is_documented():
    import ijepa
    from training.recipes import RECIPES

    readme, training = (ROOT / "README.md").read_text(), (ROOT / "docs" / "training.md").read_text()
    for verb in ijepa.VERBS:
        assert f"ijepa {verb}" in readme, verb
    for recipe in RECIPES:
        assert f"`{recipe}`" in training, recipe


def test_the_version_has_an_entry_in_the_changelog():
    import tomllib

    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f"## {version}" in (ROOT / "CHANGELOG.md").read_text()


def test_constraints_are_names_and_versions_alone():
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        assert re.fullmatch(r"[A-Za-z0-9_.-]+==[0-9][A-Za-z0-9.!+]*", line), line


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a git checkout")
def test_pages_are_whole_and_links_between_them_lead_somewhere():
    pages = subprocess.run(
        ["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    for page in pages:
        assert "@@" not in (ROOT / page).read_text(), f"{page} has a gap to be filled"
        for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", (ROOT / page).read_text()):
            assert ((ROOT / page).parent / target).exists(), (page, target)
