"""`make release` builds only what is consistent: version, tag, changelog and a clean tree."""

import importlib.machinery
import importlib.util
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def release():
    loader = importlib.machinery.SourceFileLoader("release", str(ROOT / ".ci" / "release"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("release", loader))
    loader.exec_module(module)
    return module


@pytest.fixture
def checkout(tmp_path):
    """A clean checkout of version 1.2.0 with its tag."""
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "x"\nversion = "1.2.0"\n')
    (tmp_path / "CHANGELOG.md").write_text("# Changelog\n\n## 1.2.0 - 2026-01-31\n\n- New.\n\n## 1.1.0\n\n- Old.\n")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "Release")
    git(tmp_path, "tag", "v1.2.0")
    return tmp_path


def git(folder, *words):
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *identity, *words], cwd=folder, check=True)


def test_a_consistent_checkout_is_a_release(release, checkout):
    assert release.problems(checkout) == []


def test_a_changed_file_is_named(release, checkout):
    (checkout / "new.txt").write_text("x")
    assert release.problems(checkout) == ["the working tree is not clean: new.txt"]


def test_a_tag_of_another_commit_is_not_enough(release, checkout):
    git(checkout, "commit", "-q", "--allow-empty", "-m", "later")
    assert release.problems(checkout) == ["the commit has no tag v1.2.0; run: git tag v1.2.0"]


@pytest.mark.parametrize(
    ("changelog", "problem"),
    [
        (
            "## 1.1.0 - 2026-01-01\n\n- x\n",
            "the newest section of CHANGELOG.md is 1.1.0, the version in pyproject.toml is 1.2.0",
        ),
        ("no section\n", "the newest section of CHANGELOG.md is missing"),
        ("## 1.2.0\n\n- x\n", "has no date"),
        ("## 1.2.0 - 2026-02-31\n\n- x\n", "has no date"),
        (
            "## 1.2.0 - 2026-01-31\n\n- x\n\n## 1.1.0\n\n- y\n\n## 1.2.0 - 2026-01-01\n\n- z\n",
            "CHANGELOG.md has 2 sections of 1.2.0",
        ),
        (
            "## 1.2.0 - 2026-01-31\n\n- x\n\n## 1.10.0 - 2026-01-01\n\n- y\n\n## 1.9.0\n\n- z\n",
            "1.2.0 is not greater than 1.10.0, which CHANGELOG.md has already",
        ),
        (
            "## 1.2.0 - 2026-01-31\n\n- x\n\n## 1.3.0rc1\n\n- y\n\n## 1.3.0\n\n- z\n",
            "1.2.0 is not greater than 1.3.0, which",
        ),
        ("## 1.2.0 - 2026-01-31\n\n- x\n\n## Earlier\n\n- y\n", "has a section that is not a version: Earlier"),
        ("## Unreleased\n\n- y\n\n## 1.2.0 - 2026-01-31\n\n- x\n", 'entries under "Unreleased"'),
    ],
)
def test_a_changelog_that_does_not_fit_is_a_sentence(release, changelog, problem):
    (found,) = release.changelog_problems(f"# Changelog\n\n{changelog}", "1.2.0")
    assert problem in found


def test_an_empty_section_for_what_comes_is_no_problem(release):
    text = "# Changelog\n\n## Unreleased\n\n## 1.2.0 - 2026-01-31\n\n- x\n"
    assert release.changelog_problems(text, "1.2.0") == []
