from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parent.parent.parent / "docs"
FENCE = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block of a page: its language, the name=value pairs beside it, and its text."""

    language: str
    marks: dict[str, str]
    text: str


def blocks_of(page: str) -> list[Block]:
    found = []
    for match in FENCE.finditer((DOCS / page).read_text(encoding="utf-8")):
        language, *pairs = match["info"].split() or [""]
        marks = dict(pair.split("=", 1) for pair in pairs)
        found.append(Block(language, marks, match["text"]))
    return found


@pytest.fixture(scope="session")
def blocks() -> Callable[[str], list[Block]]:
    """The fenced blocks of a page in docs/."""
    return blocks_of


@pytest.fixture(scope="session")
def page() -> Callable[[str], str]:
    """A page in docs/ as it stands."""
    return lambda name: (DOCS / name).read_text(encoding="utf-8")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that is the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
