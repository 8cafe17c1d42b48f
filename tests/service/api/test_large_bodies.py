"""Bodies that are made to cost much are refused soon, and take no more memory than their own size a few times."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.service.api.large_bodies import ANSWERS, BODIES

ROOT = Path(__file__).parents[3]


def feed(*arguments):
    command = [sys.executable, "-m", "tests.service.api.large_bodies", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    answer, seconds, memory = json.loads(done.stdout)
    assert seconds < 2, f"{seconds:.1f} s"
    assert memory < 2, f"{memory:.1f} times the body, beside the body"
    print(f"{seconds:.2f} s, {memory:.2f} times the body")
    return answer


@pytest.mark.parametrize("name", BODIES)
def test_a_body_that_is_made_to_cost_much(name):
    assert feed(name) == ANSWERS.get(name, "bad_request")


@pytest.mark.parametrize("name", ["unknown options", "escaped quotation marks", "a wide option"])
def test_a_part_of_a_form_that_is_made_to_cost_much(name):
    assert feed(name, "form") == ANSWERS.get(name, "bad_request")
