"""Pairs, checked text by text: turned round, shared, twice the same, and told by one text alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tunesmith.health.examine import examine
from tunesmith.health.seen import Seen
from tunesmith.health.sides import Alone, both_alike
from tunesmith.health.words import say

See = Callable[..., Seen]
LONG = "The first paragraph tells how the town was founded by fishers, burned down twice and was built again"
TRAIN = [((f"what of thing {i}?", f"it is {i * 7} metres"), "ab"[i % 2]) for i in range(12)]
TEST = [((f"who of all {i} came?", f"number {i * 9} came alone"), "ab"[i % 2]) for i in range(6)]


def test_pairs_that_share_nothing_are_healthy(kit: Any, seen: See) -> None:
    found = examine(seen("pair", train=TRAIN, test=TEST))
    assert kit.kinds(found.health) == set()
    assert found.health.takes == "pair"
    assert not found.leaked.any()


def test_the_same_pair_across_splits_is_found_also_the_other_way_round(kit: Any, seen: See) -> None:
    (same, turned), label = (TRAIN[0][0], TRAIN[1][0]), "a"
    found = examine(seen("pair", train=TRAIN, test=[*TEST, (same, label), (turned[::-1], label)]))
    assert kit.ids(kit.one(found.health, "byte_equal_across")) == [["test/6", "train/0"]]
    assert kit.ids(kit.one(found.health, "turned_across")) == [["test/7", "train/1"]]
    assert found.leaked.tolist() == [False] * 6 + [True, True]


def test_pairs_turned_round_inside_a_split_leak_nothing(kit: Any, seen: See) -> None:
    found = examine(seen("pair", train=[*TRAIN, (TRAIN[1][0][::-1], "a")], test=TEST))
    assert "turned_across" not in kit.kinds(found.health)


def test_a_text_of_train_in_a_pair_of_test_is_found_on_its_side(kit: Any, seen: See) -> None:
    shared = [((f"is this {i}?", TRAIN[i][0][1]), "a") for i in range(3)]
    found = examine(seen("pair", train=TRAIN, test=[*TEST, *shared]))
    own = kit.one(found.health, "side_across")
    assert (own.values["side"], own.values["count"], own.values["total"]) == (2, 3, 9)
    assert kit.ids(own)[0] == ["test/6", "train/0"]
    assert say(own)[0].startswith("Of 9 test pairs, 3 (33%) have text 2 of their two in a pair of train")
    elsewhere = [((TRAIN[0][0][1], "what was it?"), "a")]  # on the other side it tells nothing
    assert "side_across" not in kit.kinds(examine(seen("pair", train=TRAIN, test=[*TEST, *elsewhere])).health)


def test_pairs_that_share_a_long_text_are_no_near_duplicates(kit: Any, seen: See) -> None:
    train = [(("when was it?", LONG), "a"), *TRAIN]
    test = [(("who were they?", LONG), "b"), (("when was it??", f"{LONG}."), "a"), *TEST]
    found = examine(seen("pair", train=train, test=test))
    assert kit.ids(kit.one(found.health, "near_duplicates_across")) == [["test/1", "train/0"]]
    one, other = f"when was it?\x1f{LONG}", f"who were they?\x1f{LONG}"
    assert not both_alike(one, other)
    assert both_alike(one, f"{LONG}\x1fwhen was it?")


def test_a_pair_of_one_text_twice_is_noted(kit: Any, seen: See) -> None:
    found = examine(seen("pair", train=[*TRAIN, (("the same", "the same "), "a")], test=TEST))
    own = kit.one(found.health, "equal_sides")
    assert own.level == "note"
    assert kit.ids(own) == [["train/12"]]


def test_a_pair_that_lacks_a_text_takes_part_in_nothing_else(kit: Any, seen: See) -> None:
    found = examine(seen("pair", train=[*TRAIN, (("", "alone"), "a")], test=[*TEST, (("", "too"), "a")]))
    assert kit.kinds(found.health) == {"half_empty"}
    own = kit.one(found.health, "half_empty")
    assert own.groups[0][0].note == "has an empty first text."
    assert say(own)[0] == "Of 20 pairs, 2 lack the words of one text, or of both."


@pytest.mark.parametrize(("value", "said"), [(0.95, True), (0.76, True), (0.74, False), (0.5, False)])
def test_one_text_that_tells_half_of_what_can_be_told_is_named(
    value: float, said: bool, kit: Any, seen: See
) -> None:
    alone = [Alone("first", "accuracy", 0.5, 0.5), Alone("second", "accuracy", value, 0.5)]
    found = examine(seen("pair", train=TRAIN, test=TEST), alone=alone)
    assert ("one_side_tells" in kit.kinds(found.health)) == said
    if said:
        words = say(kit.one(found.health, "one_side_tells"))[0]
        assert words.startswith(f"The words of text 2 of the two alone reach accuracy {value:.2f} on test")
