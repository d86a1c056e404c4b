"""Classes: written in two ways, shares that shift, imbalance; each beside data where nothing is wrong."""

from __future__ import annotations

import numpy as np
import pytest

from tunesmith.data.data import SPLITS
from tunesmith.health.classes import chi_squared, cramers_v, imbalance, labels_alike, prior_shifts
from tunesmith.health.roll import Roll, coded


def roll(**counts: dict[str, int]) -> Roll:
    """So many examples of each class in each split."""
    rows = [
        (label, SPLITS.index(split))
        for split, of in counts.items()
        for label, n in of.items()
        for _ in range(n)
    ]
    names, codes = coded(label for label, _ in rows)
    splits = np.asarray([split for _, split in rows])
    return Roll("text", [str(i) for i in range(len(rows))], names, codes, splits, np.arange(len(rows)))


def test_labels_are_coded_in_their_order_with_the_zeros_that_they_end_with() -> None:
    names, codes = coded(["b\0", "a", "b", "a", "x" * 10_000])
    assert names == ["a", "b", "b\0", "x" * 10_000]
    assert codes.tolist() == [2, 0, 1, 0, 3]
    assert coded([])[0] == []


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
    # Of 200 examples chance alone gives 1 / 199, and no table more than 1 - 1 / 199 (Bergsma 2013).
    corrected = (expected / 200 - 1 / 199) / (1 - 1 / 199)
    assert found.values["effect"] == pytest.approx(np.sqrt(corrected))


def test_the_statistic_and_its_chance_are_those_of_scipy() -> None:
    from scipy.stats import chi2_contingency  # type: ignore[import-untyped]

    random = np.random.default_rng(0)
    for classes in (2, 3, 77):
        pair = random.integers(5, 60, (classes, 2))
        expected = chi2_contingency(pair, correction=False)
        assert chi_squared(pair) == pytest.approx((expected.statistic, expected.pvalue), rel=1e-9)


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


def shares(train: list[int], test: list[int]) -> Roll:
    """Counts of classes by number."""
    return roll(
        train={f"class {k:03d}": n for k, n in enumerate(train)},
        test={f"class {k:03d}": n for k, n in enumerate(test)},
    )


@pytest.mark.parametrize(("classes", "count"), [(500, 6_000), (100, 6_000), (20, 600)])
def test_many_classes_without_a_shift_are_not_named(seed: int, classes: int, count: int) -> None:
    from scipy.stats import chi2_contingency

    random = np.random.default_rng(seed)
    plain = []
    for _ in range(10):
        drawn = [random.multinomial(n, np.full(classes, 1 / classes)) for n in (count, count * 3 // 20)]
        assert prior_shifts(shares(*(each.tolist() for each in drawn))) == []
        table = np.stack(drawn)
        table = table[:, table.sum(0) > 0]
        plain.append(np.sqrt(chi2_contingency(table, correction=False).statistic / table.sum()))
    assert np.mean(plain) > 0.1  # uncorrected, each would pass for a difference


def test_a_small_shift_of_many_classes_is_not_called_large() -> None:
    # The test split has 4 or 5 examples more or fewer of each class than the 10 that it should have.
    off = [4] * 170 + [5] * 30
    made = shares([40] * 200, [10 + d * (1 if k % 2 else -1) for k, d in enumerate(off)])
    from scipy.stats import chi2_contingency

    statistic, p, _, _ = chi2_contingency(made.counts[:, [0, 2]], correction=False)
    assert p < 0.001
    assert np.sqrt(statistic / made.counts.sum()) > 0.1 > cramers_v(statistic, 200, int(made.counts.sum()))
    assert prior_shifts(made) == []


def test_a_shift_like_that_of_pneumonia_is_found_among_rare_classes_too() -> None:
    rare = {f"rare {k}": 1 for k in range(40)}
    train = {"normal": 388, "pneumonia": 3494}
    test = {"normal": 234, "pneumonia": 390}
    (found,) = prior_shifts(roll(train=train, test=test))
    assert found.values["share"] in (234 / 624, 390 / 624)
    (among,) = prior_shifts(roll(train=train | rare, test=test))
    assert among.values["effect"] == pytest.approx(found.values["effect"], abs=0.05)


def test_rare_classes_alone_tell_of_no_shift() -> None:
    """Of 50 classes with two examples each a test split may have all of one and none of another."""
    assert prior_shifts(shares([2, 0] * 25, [0, 2] * 2 + [1, 0] * 10)) == []


@pytest.mark.parametrize(("most", "level"), [(29, None), (30, "note"), (99, "note"), (100, "warning")])
def test_imbalance_is_a_note_from_threefold_and_a_warning_from_tenfold(most: int, level: str | None) -> None:
    found = imbalance(roll(train={"a": most, "b": 10}, test={"a": 1, "b": 500}))
    assert [finding.level for finding in found] == ([] if level is None else [level])
