"""The table of plug-ins in docs/ideas.md tells of every task, and of the lines that it has."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest

DOCS = Path(__file__).resolve().parent.parent.parent / "docs"


@pytest.fixture(scope="module")
def script() -> Any:
    spec = importlib.util.spec_from_file_location("plug_ins", DOCS / "plug_ins.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def told(text: str) -> dict[str, tuple[int, str, str]]:
    """The rows of the page: a task's lines, what stands beside it, and what had to change."""
    cells = [
        line.strip("| ").split(" | ")
        for line in text.splitlines()
        if re.match(r"\| [a-z-]+.* \| \d+ \|", line)
    ]
    return {row[0]: (int(row[1]), row[2].strip(), row[-1]) for row in cells}


def test_the_table_tells_of_every_task_and_no_other(script: Any) -> None:
    """If it does not: python docs/plug_ins.py, and a line in LEARNED."""
    found = told(script.page("ideas.md"))
    assert list(found) == list(script.rows())
    assert all(learned != "?" for _, _, learned in found.values())


def test_the_table_tells_the_lines_to_a_tenth(script: Any) -> None:
    found = told(script.page("ideas.md"))
    for task, (lines, _, _) in script.rows().items():
        assert found[task][0] == pytest.approx(lines, rel=0.1, abs=3)


def test_the_table_names_what_stands_beside_a_task(script: Any) -> None:
    found = told(script.page("ideas.md"))
    for task, (_, beside, _) in script.rows().items():
        written, true = (dict(re.findall(r"`(\w+)` (\d+)", own)) for own in (found[task][1], beside))
        assert written.keys() == true.keys()
        for name, lines in true.items():
            assert int(written[name]) == pytest.approx(int(lines), rel=0.1, abs=3)


def test_a_table_that_is_out_of_date_is_written_anew(script: Any) -> None:
    page = script.page("ideas.md")
    old = page.replace("| image-classification | ", "| image-classification | 9")
    assert old != page
    assert told(script.with_table(old)) == told(script.with_table(page))
    assert script.with_table(script.with_table(page)) == script.with_table(page)
