"""The contract of a source fails on planted faults, in the checks that name them and in no other."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tunesmith.testing import SourceContract

Caught = dict[str, set[str]]
FILE = "planted_sources.py"
PLANTED: dict[str, set[str]] = {
    name: set(ast.literal_eval(caught_by))
    for name, caught_by in re.findall(
        r"^class (\w+)(?:\(Whole\))?:\n(?:    \"\"\".*?\"\"\"\n)?\n*    caught_by[^=]*= (\(.*?\))\n",
        Path(__file__).with_name(FILE).read_text(encoding="utf-8"),
        re.MULTILINE | re.DOTALL,
    )
}


@pytest.fixture(scope="module")
def failed(failures: Callable[[str], Caught]) -> Caught:
    return failures(FILE)


@pytest.mark.parametrize("plant", PLANTED)
def test_a_planted_fault_is_caught_by_the_checks_that_name_it_alone(failed: Caught, plant: str) -> None:
    assert failed[f"Test{plant}"] == PLANTED[plant]


def test_every_planted_source_was_tried(failed: Caught) -> None:
    assert set(failed) == {f"Test{plant}" for plant in PLANTED}


def test_every_check_has_a_fault_that_it_catches() -> None:
    """But for the cut below the head, which the order of parts stands for, and what is refused before."""
    checks = {name for name in dir(SourceContract) if name.startswith("test_")}
    assert checks - {name for caught_by in PLANTED.values() for name in caught_by} == {
        "test_a_model_that_is_not_there_is_refused",
        "test_it_goes_on_from_what_lies_below_the_head",
        "test_weights_cut_short_are_refused",
    }
