"""docs/api.md: every public name with the signature of the code, and examples that run."""

from __future__ import annotations

import ast
import inspect
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import tunesmith as ts

Blocks = Callable[[str], list[Any]]
NONE = inspect.Parameter.empty


def signed(call: str) -> list[tuple[str, bool, str]]:
    """The parameters that a signature on the page states: name, whether it needs its name, default."""
    parts = ast.parse(f"def {call.strip()}: ...").body[0]
    assert isinstance(parts, ast.FunctionDef)
    arguments = parts.args
    plain = [*arguments.posonlyargs, *arguments.args]
    defaults = [None] * (len(plain) - len(arguments.defaults)) + list(arguments.defaults)
    pairs = [
        *zip(plain, defaults, strict=True),
        *zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True),
    ]
    return [
        (argument.arg, argument in arguments.kwonlyargs, "" if default is None else ast.dump(default))
        for argument, default in pairs
    ]


def coded(thing: Any) -> list[tuple[str, bool, str]]:
    """The same of the code."""
    return [
        (
            p.name,
            p.kind is p.KEYWORD_ONLY,
            "" if p.default is NONE else ast.dump(ast.parse(repr(p.default), mode="eval").body),
        )
        for p in inspect.signature(thing).parameters.values()
    ]


def without_signature(name: str) -> bool:
    thing = getattr(ts, name)
    return not callable(thing) or (isinstance(thing, type) and issubclass(thing, Exception))


@pytest.mark.parametrize("name", [n for n in ts.__all__ if not without_signature(n)])
def test_a_signature_on_the_page_is_that_of_the_code(blocks: Blocks, name: str) -> None:
    said = [b.text for b in blocks("api.md") if b.marks.get("signature") == name]
    assert len(said) == 1, f"docs/api.md states no signature of {name}"
    assert signed(said[0]) == coded(getattr(ts, name))


def test_the_page_has_every_public_name_and_no_other(page: Callable[[str], str], blocks: Blocks) -> None:
    headings = re.findall(r"^### (.+)$", page("api.md"), re.MULTILINE)
    assert sorted(h.replace("\\", "") for h in headings) == sorted(ts.__all__)
    names = [b.marks["signature"] for b in blocks("api.md") if "signature" in b.marks]
    assert sorted(names) == sorted(n for n in ts.__all__ if not without_signature(n))


def test_every_name_has_an_example(page: Callable[[str], str]) -> None:
    pieces = re.split(r"^### (.+)$", page("api.md"), flags=re.MULTILINE)
    for name, text in zip(pieces[1::2], pieces[2::2], strict=True):
        assert re.search(r"^```python\n", text, re.MULTILINE), f"{name} has no example"


def test_a_changed_default_would_be_found() -> None:
    def changed(data: Any, *, epochs: int = 6) -> None: ...

    assert signed("changed(data, *, epochs=5)") != coded(changed)
    assert signed("changed(data, *, epochs=6)") == coded(changed)


def test_the_examples_run_from_top_to_bottom(
    blocks: Blocks, here: Path, photos: Path, reviews: Path, tiny_text: Callable[[str], Path]
) -> None:
    shutil.copytree(photos, here / "photos")
    shutil.copy(reviews, here / "reviews.csv")
    shutil.copytree(tiny_text("bert"), here / "my-bert")
    space: dict[str, Any] = {"__name__": "docs"}
    for block in blocks("api.md"):
        if block.language == "python" and "signature" not in block.marks:
            exec(compile(block.text, "docs/api.md", "exec"), space)
    assert space["run"].finished
    assert space["logits"].shape == (2, 3)
