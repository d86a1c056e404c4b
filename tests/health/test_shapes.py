"""Sizes, modes, shapes and lengths: what is odd is named, what is usual is not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from tunesmith.data.tags import Answer
from tunesmith.health.examine import Features, examine
from tunesmith.health.seen import Seen
from tunesmith.health.shapes import about_tokens

ODD = {"small_images", "odd_shapes", "modes_tell", "short_texts"}


def big(kit: Any, seed: int, size: tuple[int, int] = (200, 160)) -> bytes:
    return bytes(kit.encoded(kit.noise(seed, size)))


def test_usual_images_are_not_odd(kit: Any, seen: Callable[..., Seen]) -> None:
    health = examine(seen("image", train=[(big(kit, i), "ab"[i % 2]) for i in range(6)])).health
    assert not ODD & kit.kinds(health)
    assert health.facts["width"] == {"least": 200, "middle": 200, "most": 200}
    assert health.facts["modes"] == {"RGB": 6}


def test_a_thumbnail_among_photos_is_named_with_its_size(kit: Any, seen: Callable[..., Seen]) -> None:
    train = [*((big(kit, i), "a") for i in range(5)), (big(kit, 9, (20, 16)), "b")]
    (group,) = kit.one(examine(seen("image", train=train)).health, "small_images").groups
    assert (group[0].id, group[0].note) == ("train/5", "20 × 16 pixels")


def test_where_all_images_are_small_none_is_named(kit: Any, seen: Callable[..., Seen]) -> None:
    health = examine(seen("image", train=[(big(kit, i, (28, 28)), "ab"[i % 2]) for i in range(6)])).health
    assert "small_images" not in kit.kinds(health)


def test_a_strip_is_named_and_one_of_three_to_one_is_not(kit: Any, seen: Callable[..., Seen]) -> None:
    train = [(big(kit, 0, (300, 100)), "a"), (big(kit, 1, (301, 100)), "b"), (big(kit, 2, (50, 400)), "b")]
    finding = kit.one(examine(seen("image", train=train)).health, "odd_shapes")
    assert kit.ids(finding) == [["train/2"], ["train/1"]]


def test_a_mode_that_tells_the_class_is_named(kit: Any, seen: Callable[..., Seen]) -> None:
    grey = [(kit.encoded(kit.noise(i)[..., 0]), "scan") for i in range(10)]
    colour = [(kit.encoded(kit.noise(i)), "photo") for i in range(20, 30)]
    finding = kit.one(examine(seen("image", train=grey + colour)).health, "modes_tell")
    assert (finding.values["share"], finding.values["others"]) == (1.0, 0.0)
    mixed = [(photo, "ab"[i % 2]) for i, (photo, _) in enumerate(grey + colour)]
    assert "modes_tell" not in kit.kinds(examine(seen("image", train=mixed)).health)


def test_a_mode_of_a_few_images_tells_nothing(kit: Any, seen: Callable[..., Seen]) -> None:
    grey = [(kit.encoded(kit.noise(i)[..., 0]), "scan") for i in range(9)]
    colour = [(kit.encoded(kit.noise(i)), "photo") for i in range(20, 40)]
    assert "modes_tell" not in kit.kinds(examine(seen("image", train=grey + colour)).health)
    tenth = (kit.encoded(kit.noise(9)[..., 0]), "scan")
    assert "modes_tell" in kit.kinds(examine(seen("image", train=[*grey, tenth, *colour])).health)


def test_very_short_texts_are_named_the_shortest_first(kit: Any, seen: Callable[..., Seen]) -> None:
    train = [("a text that says something", "a"), ("Ok..", "b"), (" hm ", "b"), ("fives", "a")]
    assert kit.ids(kit.one(examine(seen("text", train=train)).health, "short_texts")) == [
        ["train/2"],
        ["train/1"],
    ]


def test_tagged_texts_are_read_in_windows_and_none_is_called_cut(kit: Any, seen: Callable[..., Seen]) -> None:
    label = Answer(((0, 3),), ("B-PER",)).written()
    found = seen("text", train=[(f"{word} and more words", label) for word in ("one", "two", "six", "ten")])
    pooled = np.eye(4, dtype=np.float32)
    features = Features("hf/m", pooled, np.array([8, 9, 12, 7]), 8, learned=True)
    assert "truncated_texts" in kit.kinds(examine(found, features=features).health)  # of classes
    tagged = replace(found, data=replace(found.data, answers="parts", task="token-classification"))
    health = examine(tagged, features=features).health
    assert "truncated_texts" not in kit.kinds(health)
    assert health.facts["tokens"]["most"] == 12


def test_texts_beyond_the_window_are_named_the_longest_first(kit: Any, seen: Callable[..., Seen]) -> None:
    roll = seen(
        "text", train=[(f"{word} and more words", "a") for word in ("one", "two", "three", "four")]
    ).roll
    facts, (finding,) = about_tokens(roll, np.array([8, 9, 12, 7]), 8, "hf/m")
    assert kit.ids(finding) == [["train/2"], ["train/1"]]
    assert [group[0].note for group in finding.groups] == ["12 tokens", "9 tokens"]
    assert facts["tokens"]["most"] == 12
    assert about_tokens(roll, np.array([8, 8, 8, 7]), 8, "hf/m")[1] == []
