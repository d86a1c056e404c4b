"""Rare classes count more, or are drawn more often; a person's own weights multiply."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

from tunesmith.errors import BadData
from tunesmith.tasks.task import Labels
from tunesmith.training.balance import class_weights, example_weights, sampling_shares

LABELS = Labels(("cat", "dog"), (3, 1))


def dataset(weights: list[float] | None = None) -> Any:
    import datasets

    columns: dict[str, list[Any]] = {"label": ["cat", "cat", "dog", "cat"]}
    if weights is not None:
        columns["weight"] = weights
    return datasets.Dataset.from_dict(columns)


def test_class_weights_are_scikit_learns_balanced_ones(seed: int) -> None:
    drawn = np.random.default_rng(seed).choice(4, 500, p=[0.6, 0.3, 0.08, 0.02])
    counts = np.bincount(drawn)
    theirs = compute_class_weight("balanced", classes=np.arange(4), y=drawn)
    assert class_weights(Labels(tuple("abcd"), tuple(counts.tolist()))) == pytest.approx(theirs, rel=1e-12)


def test_without_balance_or_weights_every_example_counts_the_same() -> None:
    assert example_weights(dataset(), LABELS, "none") is None
    assert example_weights(dataset(), LABELS, "sampler") is None


def test_own_weights_keep_their_ratios_and_have_the_mean_one() -> None:
    found = example_weights(dataset([1, 2, 3, 2]), LABELS, "none")
    assert found is not None
    assert found.tolist() == [0.5, 1.0, 1.5, 1.0]


def test_balanced_classes_count_the_same_in_sum() -> None:
    found = example_weights(dataset(), LABELS, "weights")
    assert found is not None
    assert found == pytest.approx([2 / 3, 2 / 3, 2, 2 / 3])


def test_own_weights_and_balance_multiply() -> None:
    found = example_weights(dataset([3, 0, 1, 3]), LABELS, "weights")
    assert found is not None
    assert found == pytest.approx(np.array([1, 0, 1, 1]) / 0.75)  # 3 x 2/3, 0, 1 x 2, 3 x 2/3


@pytest.mark.parametrize("balance", ["none", "weights"])
def test_weights_that_are_all_zero_are_refused(balance: str) -> None:
    with pytest.raises(BadData, match="every training example has the weight 0"):
        example_weights(dataset([0, 0, 0, 0]), LABELS, balance)


def test_the_sampler_draws_every_class_equally_often() -> None:
    found = sampling_shares(dataset(), LABELS, "sampler")
    assert found is not None
    assert found == pytest.approx([1 / 6, 1 / 6, 1 / 2, 1 / 6])
    assert sampling_shares(dataset(), LABELS, "weights") is None
