from __future__ import annotations

import numpy as np
import pytest

from tunesmith.data.split import (
    check_classes,
    check_filled,
    check_groups,
    check_sizes,
    complete,
)
from tunesmith.errors import BadData, BadOption

SIZES = (0.15, 0.15)


def unsplit(count: int) -> np.ndarray:
    return np.full(count, -1)


def test_made_splits_have_the_shares_that_were_asked() -> None:
    labels = np.repeat([0, 1], [900, 100])
    splits = complete(unsplit(1000), labels, None, sizes=(0.1, 0.2), seed=0)
    assert np.bincount(splits).tolist() == [700, 100, 200]
    assert np.bincount(splits[labels == 1]).tolist() == [70, 10, 20]


def test_the_same_seed_gives_the_same_splits_and_another_others() -> None:
    labels = np.arange(200) % 4
    first, again, other = (complete(unsplit(200), labels, None, sizes=SIZES, seed=seed) for seed in (3, 3, 4))
    assert (first == again).all()
    assert (first != other).any()


@pytest.mark.parametrize("size", [3, 4, 5])
def test_every_class_keeps_a_training_example(size: int) -> None:
    labels = np.repeat(np.arange(20), size)
    splits = complete(unsplit(len(labels)), labels, None, sizes=(0.4, 0.4), seed=1)
    assert set(labels[splits == 0]) == set(range(20))
    assert set(labels[splits == 2]) == set(range(20))


def test_a_missing_validation_split_is_taken_from_train() -> None:
    given = np.repeat([0, 2], [80, 20])
    splits = complete(given, np.arange(100) % 2, None, sizes=SIZES, seed=0)
    assert (splits[80:] == 2).all()
    assert np.bincount(splits).tolist() == [65, 15, 20]


def test_a_missing_test_split_is_taken_from_train() -> None:
    given = np.repeat([0, 1], [80, 20])
    splits = complete(given, np.arange(100) % 2, None, sizes=SIZES, seed=0)
    assert np.bincount(splits).tolist() == [65, 20, 15]


def test_given_splits_stay_as_they_are() -> None:
    given = np.arange(30) % 3
    assert (complete(given, np.arange(30) % 2, None, sizes=SIZES, seed=0) == given).all()


def test_without_a_training_split_there_is_nothing_to_learn() -> None:
    with pytest.raises(BadData, match="a valid and test split but none to train on"):
        complete(np.repeat([1, 2], 10), np.arange(20) % 2, None, sizes=SIZES, seed=0)


def test_too_few_examples_to_draw_from_are_an_error() -> None:
    given = np.repeat([0, 2], [5, 95])
    with pytest.raises(BadData, match="5 examples to draw from, too few for validation 15"):
        complete(given, np.arange(100) % 2, None, sizes=SIZES, seed=0)


def test_repeats_of_an_item_stay_together() -> None:
    same = np.arange(300) // 3
    splits = complete(unsplit(300), np.arange(300) // 3 % 2, None, same=same, sizes=SIZES, seed=0)
    assert (splits.reshape(100, 3) == splits.reshape(100, 3)[:, :1]).all()
    assert np.bincount(splits).tolist() == [210, 45, 45]


def test_the_numbers_of_repeats_do_not_matter() -> None:
    labels = np.arange(100) % 3
    first = complete(unsplit(100), labels, None, same=np.arange(100), sizes=SIZES, seed=0)
    other = complete(unsplit(100), labels, None, same=-7 * np.arange(100), sizes=SIZES, seed=0)
    assert (first == other).all()


@pytest.mark.parametrize("seed", range(5))
def test_no_group_is_in_two_splits(seed: int) -> None:
    random = np.random.default_rng(seed)
    groups = random.integers(0, 60, 600)
    labels = random.integers(0, 3, 600)
    splits = complete(unsplit(600), labels, groups, sizes=SIZES, seed=seed)
    assert all(len(set(splits[groups == group])) == 1 for group in range(60))
    assert np.abs(np.bincount(splits) / 600 - [0.7, 0.15, 0.15]).max() < 0.05


def test_grouped_splits_are_stratified_too() -> None:
    groups = np.arange(1000) // 5
    labels = (groups % 10 == 0).astype(int)  # 10 % of the groups
    splits = complete(unsplit(1000), labels, groups, sizes=SIZES, seed=0)
    shares = [labels[splits == split].mean() for split in range(3)]
    assert np.abs(np.array(shares) - 0.1).max() < 0.04


def test_a_class_in_one_group_is_learned_not_tested() -> None:
    groups = np.arange(60) // 6
    labels = (groups == 4).astype(int)
    splits = complete(unsplit(60), labels, groups, sizes=SIZES, seed=0)
    assert (splits[groups == 4] == 0).all()


def test_fewer_groups_than_splits_are_an_error() -> None:
    with pytest.raises(BadData, match="2 groups for 3 splits"):
        complete(unsplit(20), np.arange(20) % 2, np.arange(20) // 10, sizes=SIZES, seed=0)


def test_a_group_in_two_given_splits_is_an_error() -> None:
    with pytest.raises(BadData, match=r"the group 'ann' is in train and test \(1 group"):
        check_groups(np.array([0, 0, 2]), np.array([0, 1, 0]), ["ann", "bob"])


def test_one_class_is_nothing_to_classify() -> None:
    with pytest.raises(BadData, match="every example has the label 'cat'"):
        check_classes(np.array([0, 1, 2]), np.zeros(3, dtype=np.int64), ["cat"])


def test_a_class_with_a_single_example_is_named() -> None:
    labels = np.array([0, 0, 0, 1])
    with pytest.raises(BadData, match=r"class has a single example \(yak\)"):
        check_classes(np.array([0, 1, 2, 0]), labels, ["cat", "yak"])


def test_a_single_example_of_a_label_that_is_written_in_two_ways_is_told_from_a_rare_class() -> None:
    labels, splits = np.array([0, 1, 1, 1, 2, 2]), np.array([0, 0, 1, 2, 0, 1])
    with pytest.raises(
        BadData, match=r"single example \(Glass\).*'Glass' differs from 'glass' by case or spaces"
    ):
        check_classes(splits, labels, ["Glass", "glass", "metal"])
    with pytest.raises(BadData, match=r"single example \(Grass\)") as found:
        check_classes(splits, labels, ["Grass", "glass", "metal"])
    assert "differs" not in str(found.value)


def test_a_class_that_train_lacks_for_it_is_written_in_another_way_there_is_told() -> None:
    labels, splits = np.array([0, 0, 1, 1, 2, 2]), np.array([2, 2, 0, 1, 0, 1])
    with pytest.raises(BadData, match=r"Glass is in test but not in train; 'Glass' differs from 'glass'"):
        check_classes(splits, labels, ["Glass", "glass", "metal"])


def test_a_class_that_train_lacks_is_named() -> None:
    labels = np.array([0, 0, 0, 1, 1])
    with pytest.raises(BadData, match="yak is in test but not in train"):
        check_classes(np.array([0, 1, 2, 2, 2]), labels, ["cat", "yak"])


@pytest.mark.parametrize("sizes", [(0, 0.1), (0.1, 0.9), (0.1, -1), (True, 0.1), ("a", 0.1)])
def test_a_size_is_a_share(sizes: tuple[float, float]) -> None:
    with pytest.raises(BadOption, match=r"above 0 and below 0\.9"):
        check_sizes(*sizes)


def test_sizes_must_leave_something_to_train_on() -> None:
    with pytest.raises(BadOption, match="leave nothing to train on"):
        check_sizes(0.5, 0.5)


def test_two_examples_of_each_class_are_too_few_for_three_splits() -> None:
    splits = complete(np.full(4, -1), np.array([0, 0, 1, 1]), None, sizes=(0.15, 0.15), seed=0)
    with pytest.raises(BadData, match=r"nothing is left for valid: every class keeps an example"):
        check_filled(splits)
