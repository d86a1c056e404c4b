"""Classes: written in two ways, shares that shift, imbalance; each beside data where nothing is wrong."""

from __future__ import annotations

import numpy as np
import pytest

from tunesmith.data.data import SPLITS
from tunesmith.health.classes import imbalance, labels_alike, prior_shifts
from tunesmith.health.roll import Roll


def roll(**counts: dict[str, int]) -> Roll:
    """So many examples of each class in each split."""
    rows = [
        (label, SPLITS.index(split))
        for split, of in counts.items()
        for label, n in of.items()
        for _ in range(n)
    ]
    labels, splits = (np.asarray(column) for column in zip(*rows, strict=True))
    return Roll("text", [str(i) for i in range(len(rows))], labels, splits, np.arange(len(rows)))


@pytest.mark.parametrize("other", ["Glass", "GLASS", "gl ass", "ｇｌａｓｓ"])
def test_labels_that_differ_by_case_or_spaces_are_named(other: str) -> None:
    (found,) = labels_alike(roll(train={"glass": 3, other: 3, "metal": 3}))
    assert repr(other) in found.values["names"]
    assert "'glass'" in found.values["names"]
    assert {item.label for item in found.groups[0]} == {"glass", other}


def test_labels_that_differ_by_a_letter_are_two() -> None:
    assert labels_alike(roll(train={"glass": 3, "class": 3})) == []


def test_a_shift_of_class_shares_is_found_with_the_class_that_shifts_most() -> None:
    (found,) = prior_shifts(roll(train={"ill": 700, "well": 300}, test={"ill": 100, "well": 100}))
    assert (found.values["split"], found.values["label"]) == ("test", "ill")
    assert found.values["share"] == 0.5
    assert found.values["train"] == 0.7


def test_the_statistic_is_the_one_worked_out_by_hand() -> None:
    # Were the shares equal, 65 of each 100 would be a: every cell is off by 15.
    (found,) = prior_shifts(roll(train={"a": 80, "b": 20}, test={"a": 50, "b": 50}))
    expected = 15**2 / 65 * 2 + 15**2 / 35 * 2
    assert found.values["statistic"] == pytest.approx(expected)
    assert found.values["effect"] == pytest.approx(np.sqrt(expected / 200))


def test_shares_that_differ_by_chance_or_by_little_are_not_named() -> None:
    assert prior_shifts(roll(train={"a": 60, "b": 40}, test={"a": 10, "b": 9})) == []
    little = roll(train={"a": 50_000, "b": 50_000}, test={"a": 5_200, "b": 4_800})
    assert prior_shifts(little) == []


def test_classes_are_called_different_at_random_splits_in_about_one_of_a_thousand(seed: int) -> None:
    random = np.random.default_rng(seed)
    named = 0
    for _ in range(200):
        a, b = random.binomial(400, 0.3), random.binomial(100, 0.3)
        counts = {"train": {"a": int(a), "b": int(400 - a)}, "test": {"a": int(b), "b": int(100 - b)}}
        named += len(prior_shifts(roll(**counts)))
    assert named <= 2


@pytest.mark.parametrize(("most", "level"), [(29, None), (30, "note"), (99, "note"), (100, "warning")])
def test_imbalance_is_a_note_from_threefold_and_a_warning_from_tenfold(most: int, level: str | None) -> None:
    found = imbalance(roll(train={"a": most, "b": 10}, test={"a": 1, "b": 500}))
    assert [finding.level for finding in found] == ([] if level is None else [level])
