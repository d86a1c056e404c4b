"""Folds keep classes even and groups whole, and a head never saw what it answers."""

from __future__ import annotations

import numpy as np
import pytest

from tunesmith.choosing.folds import fold_of, ridge_answers
from tunesmith.errors import BadData
from tunesmith.training.heads import ridge


def test_classes_are_dealt_evenly_and_groups_stay_whole(seed: int) -> None:
    random = np.random.default_rng(seed)
    targets = np.repeat([0, 1, 2], [100, 60, 40])
    groups = np.arange(200) // 2  # pairs
    folds = fold_of(targets, groups, seed=seed)
    assert {len(set(folds[groups == g])) for g in np.unique(groups)} == {1}
    shares = [np.bincount(targets[folds == f], minlength=3) for f in range(5)]
    assert np.ptp(shares, axis=0).max() <= 2
    shuffled = random.permutation(folds)
    assert {len(set(shuffled[groups == g])) for g in np.unique(groups)} != {1}  # or the test is blind


def test_the_same_seed_deals_the_same_folds_and_another_deals_others() -> None:
    targets, groups = np.arange(100) % 2, np.arange(100)
    assert (fold_of(targets, groups, seed=1) == fold_of(targets, groups, seed=1)).all()
    assert not (fold_of(targets, groups, seed=1) == fold_of(targets, groups, seed=2)).all()


def test_a_class_with_fewer_examples_than_folds_is_no_fault() -> None:
    targets = np.array([0] * 40 + [1] * 3)
    assert set(fold_of(targets, np.arange(43))) == set(range(5))


def test_fewer_groups_than_folds_make_fewer_folds() -> None:
    targets = np.arange(30) % 2
    assert set(fold_of(targets, np.arange(30) // 10)) == {0, 1, 2}


def test_one_group_is_refused() -> None:
    with pytest.raises(BadData, match=r"need two groups or more, and the 30 training examples are in 1"):
        fold_of(np.arange(30) % 2, np.zeros(30))


def test_groups_of_one_class_each_are_refused() -> None:
    with pytest.raises(BadData, match="would leave one class to learn from"):
        fold_of(np.repeat([0, 1], 15), np.repeat([0, 1], 15))


def test_a_head_answers_only_what_it_has_not_seen(seed: int) -> None:
    """With more dimensions than examples a ridge head learns noise by heart; out of fold it knows nothing."""
    random = np.random.default_rng(seed)
    features, targets = random.normal(size=(100, 400)).astype(np.float32), random.integers(0, 2, 100)
    folds = fold_of(targets, np.arange(100), seed=seed)
    answers = np.stack(ridge_answers(features, targets, folds, 2))
    assert abs(float((answers.argmax(1) == targets).mean()) - 0.5) < 0.17
    assert np.allclose(answers.sum(1), 1)
    seen = np.stack(ridge(features.astype(float), targets, 2).answers(features))
    assert float((seen.argmax(1) == targets).mean()) > 0.9  # what it has seen it knows


def test_signal_is_found_out_of_fold(seed: int) -> None:
    random = np.random.default_rng(seed)
    targets = random.integers(0, 3, 150)
    features = random.normal(size=(150, 10)).astype(np.float32)
    features[np.arange(150), targets] += 4
    answers = np.stack(ridge_answers(features, targets, fold_of(targets, np.arange(150)), 3))
    assert float((answers.argmax(1) == targets).mean()) > 0.9
