"""Byte-equal examples: counted once, named, and told apart by where they lie."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tunesmith.health.examine import examine
from tunesmith.health.seen import Seen

LONG = "the quick brown fox jumps over the lazy dog number"
OTHERS = [
    "a completely different sentence about the weather in spring",
    "prices of coffee have risen again since the last harvest",
    "she plays the violin in a small orchestra on Sundays",
    "our train was late because of snow on the mountain pass",
]


def rest(label: str) -> list[tuple[str, str]]:
    return [(f"{text} ({label})", label) for text in OTHERS]


def test_a_repeat_inside_a_split_is_a_note_and_no_leak(kit: Any, seen: Callable[..., Seen]) -> None:
    found = examine(
        seen("text", train=[(LONG, "a"), (LONG, "a"), *rest("b")], test=[("nothing here is like it", "b")])
    )
    repeat = kit.one(found.health, "byte_equal_inside")
    assert (repeat.values["repeats"], repeat.level) == (1, "note")
    assert kit.ids(repeat) == [["train/0", "train/1"]]
    assert not {"byte_equal_across", "byte_equal_two_labels"} & kit.kinds(found.health)
    assert found.leaked.tolist() == [False]


def test_a_repeat_across_splits_leaks_the_test_example_only(kit: Any, seen: Callable[..., Seen]) -> None:
    found = examine(seen("text", train=[(LONG, "a"), *rest("b")], test=[(OTHERS[0], "a"), (LONG, "a")]))
    across = kit.one(found.health, "byte_equal_across")
    assert kit.ids(across) == [["test/1", "train/0"]]
    assert across.values["leaked"] == 1
    assert found.leaked.tolist()[1]


def test_two_copies_inside_test_alone_do_not_leak(seen: Callable[..., Seen]) -> None:
    found = examine(seen("text", train=rest("b"), test=[(LONG, "a"), (LONG, "a")]))
    assert found.leaked.tolist() == [False, False]


def test_one_text_under_two_labels_is_named_with_both(kit: Any, seen: Callable[..., Seen]) -> None:
    found = examine(seen("text", train=[(LONG, "a"), (LONG, "b"), *rest("b")]))
    (group,) = kit.one(found.health, "byte_equal_two_labels").groups
    assert [item.label for item in group] == ["a", "b"]


def test_different_texts_are_no_repeats(kit: Any, seen: Callable[..., Seen]) -> None:
    found = examine(seen("text", train=rest("a"), test=[(LONG, "a")]))
    assert not {k for k in kit.kinds(found.health) if k.startswith("byte_equal")}
