"""One word per concept: words that the project replaced do not come back.

Each entry is a regular expression for the replaced word with the meaning it had here, and the word that is used now. Decisions,
experiments and the changelog keep the words of their dates, and so do golden files, which older versions wrote.
"""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NOT_CHECKED = (
    "docs/decisions/",
    "docs/experiments/",
    "CHANGELOG.md",
    "tests/golden/",  # written by older versions
    "benchmarks/results/",  # generated on their dates
    "tests/architecture/test_words.py",
)
TEXT_FILES = (".py", ".md", ".html", ".toml", ".yaml", ".yml", ".txt", ".Dockerfile", "Makefile", "run", "release")

WORDS = {
    # word that is used now: patterns of what it replaced
    "image": [r"(?i)(?<![a-z])pictures?(?![a-z])", r"Pictures?[A-Z(]"],
    "dimensions, parameters": [
        r"\bM numbers\b",
        r"\bnumbers an? (?:image|patch)\b",
        r"\d[\d,]* numbers\b",
        r"\} numbers\b",
    ],
    "explained_variance": [r"(?i)(?<![a-z])skills?(?![a-z])"],
    "baseline": [r"(?i)(?<![a-z])floors?(?![a-z])"],
    "mismatched block": [
        r"(?i)\bforeign[ _-](?:blocks?|energy)\b",
        r"\bthe foreign one\b",
        r"\.foreign\b",
        r"\bforeign:",
    ],
    "ema_update": [r"\bema_follow\b", r"\bfollow\("],
    "rng, stream": [r"\bcounted (?:random|rng)\b", r"\btraining[./]counted\b", r"\bPurpose\b"],
    "atomic_write, atomic_directory": [r"\bwrite_whole\b", r"\bwhole_folder\b", r"\bwhole_file\b"],
    "quantizers": [r"\bMAKERS\b"],
    "ParsedRequest, EmbeddingsResponse": [r"\bIntake\b", r"(?:class|->|:) ?Answer\b", r"\bAnswer\("],
    "cancel_on_disconnect": [r"\bwhile_present\b", r"\btest_presence\b", r"\braise Left\b"],
    "timings": [r"(?i)(?<![a-z])clocks?(?![a-z])"],
    "operations": [r"\bJOURNEYS?\b", r"\[\"journey\"\]", r"\bjourney[:=]"],
    "preprocessing": [r"(?i)\bpixel[ _]?recipes?\b"],
    "importers": [r"\bmodels[./]sources\b", r"\bbelieved?\b"],
    "build_empty_model, update_latest": [r"\bwhole_or_part\b", r"\bpoint_latest\b"],
    "validate_, check_": [r"\b_?refuse_\w+", r"\b_refuse\b"],
    "MAX_, MIN_, N_": [r"\b(?:LEAST|MOST|WATCHED|AT_ONCE)\b", r"\bat_once\b"],
    "max abs difference from PyTorch": [r"\boff torch\b"],
    "fix": [r"(?i)\bmend(?:s|ed|ing)?\b"],
    "skipped: reason": [r"(?i)\baloud\b"],
    "unknown ..., not a ...": [r"(?i)(?<!there )\b(?:is|are) no (?!longer\b|more\b|less\b)\w+"],
    "not divisible": [r"\bno whole number\b", r"\bwhole number of patches\b"],
}
ALLOWED = {
    # (pattern of the path, pattern of the line): why the word stays
    (r".", r"accuracy_floor"): "a field of manifests that exist",
    (r".", r"\.floor\(|\bfloor\("): "the function",
    (r".", r"RENAMED = \{"): "the names that fields and columns had in old files",
    (r"^models/checkpoint/record\.py$", r"[`\"]pictures[`\"]"): "a field of checkpoints that exist",
    (
        r"^tests/",
        r"loss,skill|synthetic pictures|\d pictures\"|\"pictures\":|[\"']foreign_energy[\"']",
    ): "files that old versions wrote are read",
    (r".", r"monotonic clock|wall clock"): "a clock is meant",
}


def checked_files() -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    return [
        name for name in listed
        if name.endswith(TEXT_FILES) and not name.startswith(NOT_CHECKED) and (ROOT / name).is_file()
    ]  # fmt: skip


def hits_of(patterns: list[str]) -> list[str]:
    """`path:line: text` of every use, the allowed ones left out. Names of files count too."""
    found = []
    for name in checked_files():
        for number, line in enumerate([name, *(ROOT / name).read_text().splitlines()]):
            if any(re.search(path, name) and re.search(text, line) for path, text in ALLOWED):
                continue
            if any(re.search(pattern, line) for pattern in patterns):
                found.append(f"{name}:{number}: {line.strip()[:140]}")
    return found


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a git checkout")
@pytest.mark.parametrize("word", WORDS)
def test_no_replaced_word_is_used(word):
    found = hits_of(WORDS[word])
    assert not found, f"write {word!r}:\n" + "\n".join(found)


@pytest.mark.parametrize(
    ("word", "line"),
    [
        ("image", "a picture of a cat"),
        ("baseline", "what stands beside it as a floor"),
        ("unknown ..., not a ...", "'fly' is no verb"),
        ("not divisible", "are no whole number of patches"),
        ("dimensions, parameters", "one vector of 512 numbers"),
        ("explained_variance", "skill is 0.8"),
    ],
)
def test_the_patterns_find_what_they_are_for(word, line):
    assert any(re.search(pattern, line) for pattern in WORDS[word])


def test_every_exception_has_a_reason_and_is_needed():
    assert all(reason for reason in ALLOWED.values())
    every = [pattern for patterns in WORDS.values() for pattern in patterns]
    for path, text in ALLOWED:
        used = any(
            re.search(path, name) and re.search(text, line) and any(re.search(pattern, line) for pattern in every)
            for name in checked_files()
            for line in [name, *(ROOT / name).read_text().splitlines()]
        )
        assert used, f"no line needs the exception {path} {text}; delete it"
