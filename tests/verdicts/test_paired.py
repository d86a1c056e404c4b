"""Paired tests give the numbers of scipy, scikit-learn and pencil, and hold their level in groups."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest  # type: ignore[import-untyped]

from tunesmith.evaluation import difference, evaluate
from tunesmith.tasks import TASKS
from tunesmith.tasks.task import Labels, Task
from tunesmith.verdicts.paired import (
    Pair,
    by_class,
    detectable,
    discordance,
    fewer_right,
    holm,
    measured,
    p_worse,
    pair,
)

TASK: Task = TASKS.load("image-classification")()


def labels(K: int) -> Labels:
    return Labels(tuple(f"class {k}" for k in range(K)), (1,) * K)


def certain(guesses: Any, K: int = 2) -> list[Any]:
    """Predictions that are nearly sure of a class each."""
    return list(np.eye(K)[np.asarray(guesses)] * 0.98 + 0.02 / K)


def drawn(N: int, K: int, share: float, seed: int) -> tuple[list[Any], list[Any], list[int]]:
    """Targets and the guesses of two, each right with a chance of `share`."""
    random = np.random.default_rng(seed)
    targets = random.integers(0, K, N)

    def guesses() -> Any:
        return np.where(random.random(N) < share, targets, (targets + random.integers(1, K, N)) % K)

    return certain(guesses(), K), certain(guesses(), K), targets.tolist()


def test_accuracy_is_compared_by_mcnemars_exact_test(seed: int) -> None:
    ours, theirs, targets = drawn(80, 3, 0.7, seed)
    two = pair(TASK, labels(3), ours, theirs, targets)
    a, b = (np.argmax(own, axis=1) == targets for own in (ours, theirs))
    alone, others = int((a & ~b).sum()), int((b & ~a).sum())
    assert p_worse(two, "accuracy") == binomtest(alone, alone + others, alternative="less").pvalue
    assert discordance(two) == (alone + others) / 80


def test_of_eight_that_one_alone_has_right_p_is_one_in_256() -> None:
    assert fewer_right(np.zeros(8, bool), np.ones(8, bool)) == pytest.approx(2**-8)
    assert fewer_right(np.ones(8, bool), np.ones(8, bool)) == 1.0


def test_swapping_agrees_with_mcnemar_where_each_unit_is_a_group(seed: int) -> None:
    random = np.random.default_rng(seed)
    a, b = random.random(80) < 0.6, random.random(80) < 0.8
    exact, swapped = fewer_right(a, b), fewer_right(a, b, np.arange(80))
    assert swapped == pytest.approx(exact, rel=0.9, abs=1e-3)  # 20 results as bad are counted to a fifth
    assert fewer_right(b, a, np.arange(80)) > 0.5


def test_groups_that_err_together_prove_less_than_as_many_that_err_alone() -> None:
    """Ten patients with six pictures each: the network is worse on all pictures of four of them."""
    ours, theirs = np.repeat(np.arange(10) >= 4, 6), np.ones(60, bool)
    assert fewer_right(ours, theirs) < 1e-6
    assert fewer_right(ours, theirs, np.repeat(np.arange(10), 6)) == pytest.approx(2**-4, abs=0.02)


def test_intervals_of_groups_are_wider_than_those_of_units() -> None:
    targets = [0] * 60
    predictions = certain(np.repeat(np.arange(10) >= 6, 6).astype(int))
    alone = evaluate(TASK, predictions, targets, labels(2))["accuracy"]
    together = evaluate(TASK, predictions, targets, labels(2), groups=np.repeat(list("abcdefghij"), 6))[
        "accuracy"
    ]
    assert together.value == alone.value == 0.6
    assert together.high - together.low > 1.8 * (alone.high - alone.low)


@pytest.mark.parametrize("metric", ["accuracy", "macro_f1", "balanced_accuracy", "log_loss"])
def test_a_worse_network_is_found_and_a_better_one_is_not(metric: str, seed: int) -> None:
    random = np.random.default_rng(seed)
    targets = random.integers(0, 3, 200)
    worse = certain(np.where(random.random(200) < 0.5, targets, (targets + 1) % 3), 3)
    better = certain(np.where(random.random(200) < 0.9, targets, (targets + 1) % 3), 3)
    assert p_worse(pair(TASK, labels(3), worse, better, targets.tolist()), metric) < 0.001
    assert p_worse(pair(TASK, labels(3), better, worse, targets.tolist()), metric) > 0.9


def test_the_interval_is_the_one_that_evaluation_gives(seed: int) -> None:
    ours, theirs, targets = drawn(100, 3, 0.7, seed)
    found = measured(pair(TASK, labels(3), ours, theirs, targets), "accuracy")
    assert found.score == difference(TASK, ours, theirs, targets, labels(3), "accuracy")
    b_minus_c = found.score.value
    share = discordance(pair(TASK, labels(3), ours, theirs, targets))
    assert found.error == pytest.approx(math.sqrt((share - b_minus_c**2) / 100), rel=0.1)


def test_what_could_be_detected_is_what_the_formula_says() -> None:
    assert detectable(0.1, 500) == pytest.approx(2.8 * math.sqrt(0.1 / 500))
    assert detectable(0.0, 500) == detectable(3 / 500, 500) > 0  # no discordance seen proves none absent


def test_small_classes_are_not_tested_by_themselves() -> None:
    truth = np.array([0] * 12 + [1] * 9)
    own = {"truth": truth, "guess": np.zeros(21, int)}
    other = {"truth": truth, "guess": truth}
    (found,) = by_class(Pair(TASK, labels(2), own, other))
    assert (found.label, found.count, found.ours, found.theirs, found.p) == ("class 0", 12, 12, 12, 1.0)


def test_holm_corrects_as_by_hand() -> None:
    assert holm([0.04, 0.001, 0.02, 0.5]) == pytest.approx([0.08, 0.004, 0.06, 0.5])
    assert holm([]) == []


@pytest.mark.parametrize("metric", ["accuracy", "macro_f1"])
def test_of_two_that_are_alike_few_are_found_worse(metric: str, seed: int) -> None:
    found = []
    for i in range(150):
        ours, theirs, targets = drawn(40, 2, 0.75, 1000 * seed + i)
        two = pair(TASK, labels(2), ours, theirs, targets, np.arange(40) // 2 if i % 2 else None)
        found.append(p_worse(two, metric, seed=i) <= 0.05)
    assert np.mean(found) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 150)
