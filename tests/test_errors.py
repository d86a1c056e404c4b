"""The tree that is drawn at the top of errors.py is the real one."""

from __future__ import annotations

import builtins
import inspect
import pickle
import re

import pytest

from tunesmith import errors
from tunesmith.errors import TunesmithError

CLASSES: list[type[TunesmithError]] = [
    c for c in vars(errors).values() if inspect.isclass(c) and issubclass(c, TunesmithError)
]
BELOW = [c for c in CLASSES if c is not TunesmithError]


def drawn() -> dict[str, tuple[str, str, str]]:
    """Of every error in the drawing: its parent, the built-in beside it, and what it stands for."""
    found: dict[str, tuple[str, str, str]] = {}
    path = ["TunesmithError"]
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"([│ ]*)[├└]── (\w+) +(\w+) +(.+)", line)
        if match:
            depth = len(match[1]) // 4 + 1
            path[depth:] = [match[2]]
            found[match[2]] = (path[depth - 1], match[3], match[4])
    return found


def test_every_error_is_in_the_drawing_and_nothing_else_is() -> None:
    assert set(drawn()) == {c.__name__ for c in BELOW}


@pytest.mark.parametrize("error", BELOW, ids=lambda c: c.__name__)
def test_an_error_stands_under_the_parents_that_are_drawn(error: type[TunesmithError]) -> None:
    parent, builtin, words = drawn()[error.__name__]
    assert [base.__name__ for base in error.__bases__] == [parent, builtin]
    assert issubclass(getattr(builtins, builtin), Exception)
    assert words


@pytest.mark.parametrize("error", CLASSES, ids=lambda c: c.__name__)
def test_an_error_says_its_sentence_as_it_was_given(error: type[TunesmithError]) -> None:
    """LookupError's KeyError and OSError like to add quotes and numbers."""
    assert str(error("no such thing; do this.")) == "no such thing; do this."


@pytest.mark.parametrize("error", CLASSES, ids=lambda c: c.__name__)
def test_an_error_passes_between_processes(error: type[TunesmithError]) -> None:
    again = pickle.loads(pickle.dumps(error("what happened")))
    assert type(again) is error
    assert str(again) == "what happened"


def test_what_the_person_can_mend_exits_with_2_and_what_went_wrong_in_training_with_1() -> None:
    ones = {c.__name__ for c in CLASSES if c.exit_code == 1}
    assert ones == {"FrozenMoved", "Diverged", "OutOfMemory"}
    assert {c.exit_code for c in CLASSES} == {1, 2}


def test_every_error_is_raised_somewhere() -> None:
    from pathlib import Path

    source = "\n".join(p.read_text(encoding="utf-8") for p in Path(errors.__file__).parent.rglob("*.py"))
    unused = [
        c.__name__ for c in BELOW if f"raise {c.__name__}(" not in source and f"{c.__name__}(\n" not in source
    ]
    assert unused == []
