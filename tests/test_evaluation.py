"""Metrics equal scikit-learn's; intervals are those of the bootstrap."""

from __future__ import annotations

import json
import math
import time
import tracemalloc
import warnings
from typing import Any

import numpy as np
import pytest
from sklearn import metrics as theirs

from tunesmith.evaluation import Score, difference, evaluate
from tunesmith.tasks import TASKS
from tunesmith.tasks.task import Labels, Task
from tunesmith.verdicts import sentence

TASK: Task = TASKS.load("image-classification")()


def labels(K: int) -> Labels:
    return Labels(tuple(f"class {k}" for k in range(K)), (1,) * K)


def drawn(N: int, K: int, seed: int, *, absent: tuple[int, ...] = ()) -> tuple[list[Any], list[int]]:
    """Predictions that are right about half the time; classes in `absent` do not occur."""
    random = np.random.default_rng([seed, N, K])
    there = [k for k in range(K) if k not in absent]
    targets = random.choice(there, N)
    probabilities = random.dirichlet(np.ones(K), N)
    probabilities[np.arange(N), targets] += random.uniform(0, 0.6, N)
    return list(probabilities / probabilities.sum(1, keepdims=True)), targets.tolist()


@pytest.mark.parametrize(
    ("N", "K", "absent"),
    [(50, 2, ()), (200, 5, ()), (60, 7, (0, 3)), (10, 20, ()), (1, 3, ()), (40, 3, (1, 2))],
)
def test_metrics_are_scikit_learns(N: int, K: int, absent: tuple[int, ...], seed: int) -> None:
    predictions, targets = drawn(N, K, seed, absent=absent)
    found = {
        name: s.value
        for name, s in evaluate(TASK, predictions, targets, labels(K), samples=2).metrics.items()
    }
    guesses = np.argmax(predictions, axis=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        precision, recall, f1, _ = theirs.precision_recall_fscore_support(
            targets, guesses, labels=range(K), zero_division=0.0
        )
        expected = {
            "accuracy": theirs.accuracy_score(targets, guesses),
            "balanced_accuracy": theirs.balanced_accuracy_score(targets, guesses),
            "macro_f1": theirs.f1_score(targets, guesses, average="macro", zero_division=0.0),
            "log_loss": theirs.log_loss(targets, np.array(predictions), labels=range(K)),
        }
    for k in range(K):
        expected |= {
            f"precision/class {k}": precision[k],
            f"recall/class {k}": recall[k],
            f"f1/class {k}": f1[k],
        }
    assert found == pytest.approx(expected, abs=1e-12)


def test_the_confusion_is_scikit_learns(seed: int) -> None:
    predictions, targets = drawn(100, 5, seed, absent=(2,))
    found = evaluate(TASK, predictions, targets, labels(5), samples=2).confusion
    guesses = np.argmax(predictions, axis=1)
    assert found is not None
    assert np.array(found).tolist() == theirs.confusion_matrix(targets, guesses, labels=range(5)).tolist()
    assert np.array(found).tolist() != theirs.confusion_matrix(guesses, targets, labels=range(5)).tolist()


def test_a_certain_and_wrong_answer_has_a_finite_loss() -> None:
    found = evaluate(TASK, [np.array([1.0, 0.0])], [1], labels(2), samples=2)
    assert found["log_loss"].value == pytest.approx(-math.log(1e-12))


@pytest.mark.parametrize(("N", "p"), [(400, 0.5), (1000, 0.8)])
def test_the_interval_of_a_share_is_near_the_normal_one(N: int, p: float) -> None:
    """value +- 1.96 sqrt(p (1 - p) / N); the ends of 1,000 bootstrap samples scatter by a tenth of that."""
    right = round(p * N)
    predictions = [np.array([0.9, 0.1])] * N
    targets = [0] * right + [1] * (N - right)
    score = evaluate(TASK, predictions, targets, labels(2))["accuracy"]
    half = 1.96 * math.sqrt(p * (1 - p) / N)
    assert score.value == p
    assert score.low == pytest.approx(p - half, abs=half / 5)
    assert score.high == pytest.approx(p + half, abs=half / 5)


def test_an_interval_holds_the_truth_in_about_95_of_100_experiments(seed: int) -> None:
    random = np.random.default_rng(seed)
    held = 0
    for repetition in range(200):
        right = random.random(100) < 0.7
        targets = np.where(right, 0, 1).tolist()
        score = evaluate(
            TASK, [np.array([0.9, 0.1])] * 100, targets, labels(2), samples=200, seed=repetition
        )["accuracy"]
        held += score.low <= 0.7 <= score.high
    assert 180 <= held <= 199  # 95 % of 200 is 190, its standard error 3


def test_where_every_answer_is_right_the_interval_is_a_point() -> None:
    assert evaluate(TASK, [np.array([0.9, 0.1])] * 9, [0] * 9, labels(2))["accuracy"] == Score(1.0, 1.0, 1.0)


def test_an_interval_can_be_repeated(seed: int) -> None:
    predictions, targets = drawn(80, 3, seed)
    first = evaluate(TASK, predictions, targets, labels(3), seed=1)
    assert evaluate(TASK, predictions, targets, labels(3), seed=1) == first
    assert evaluate(TASK, predictions, targets, labels(3), seed=2) != first


@pytest.mark.parametrize("metric", ["accuracy", "macro_f1", "log_loss"])
def test_a_paired_difference_is_antisymmetric(metric: str, seed: int) -> None:
    ours, targets = drawn(120, 4, seed)
    random = np.random.default_rng(seed)
    others = [0.5 * p + 0.5 * random.dirichlet(np.ones(4)) for p in ours]
    ahead = difference(TASK, ours, others, targets, labels(4), metric)
    behind = difference(TASK, others, ours, targets, labels(4), metric)
    assert (ahead.value, ahead.low, ahead.high) == pytest.approx((-behind.value, -behind.high, -behind.low))
    assert ahead.value != 0


def test_of_a_loss_less_is_better() -> None:
    sure, unsure = [np.array([0.9, 0.1])] * 10, [np.array([0.6, 0.4])] * 10
    gap = difference(TASK, sure, unsure, [0] * 10, labels(2), "log_loss")
    assert gap.value == pytest.approx(math.log(0.9 / 0.6))
    assert gap.low > 0


def test_a_difference_is_taken_on_the_same_units() -> None:
    """Two networks that err on the same half differ by nothing, with no doubt; unpaired there would be."""
    half = [np.array([0.9, 0.1])] * 100
    targets = [0] * 50 + [1] * 50
    assert difference(TASK, half, list(half), targets, labels(2), "accuracy") == Score(0.0, 0.0, 0.0)
    other = [p[::-1] for p in half]  # right where the first one is wrong
    gap = difference(TASK, half, other, targets, labels(2), "accuracy")
    assert gap.value == 0
    assert gap.low < -0.1 < 0.1 < gap.high


def test_three_hundred_classes_are_scored_in_seconds(seed: int) -> None:
    predictions, targets = drawn(3000, 300, seed)
    began = time.process_time()
    found = evaluate(TASK, predictions, targets, labels(300))
    assert time.process_time() - began < 10
    assert len(found.metrics) == 4 + 3 * 300


def test_scores_are_json(seed: int) -> None:
    predictions, targets = drawn(30, 3, seed)
    found = evaluate(TASK, predictions, targets, labels(3), samples=20)
    again = json.loads(json.dumps(found.as_dict()))
    assert again["metrics"]["accuracy"]["value"] == found["accuracy"].value
    assert again["count"] == 30


@pytest.mark.parametrize(
    ("gap", "outcome"),
    [
        (Score(0.06, 0.02, 0.1), "+0.060 [+0.020, +0.100], better."),
        (Score(-0.06, -0.1, -0.02), "-0.060 [-0.100, -0.020], worse."),
        (Score(0.06, 0.0, 0.1), "+0.060 [+0.000, +0.100], no difference proven."),
        (Score(0.01, -0.02, 0.04), "+0.010 [-0.020, +0.040], no difference proven."),
    ],
)
def test_the_verdict_claims_no_more_than_the_interval(gap: Score, outcome: str) -> None:
    score = Score(0.9, 0.8, 1.0)
    said = sentence("balanced_accuracy", score, "linear probe", score, gap, 300)
    assert said.startswith("balanced accuracy 0.900 against 0.900 for the linear probe on the same 300: ")
    assert said.endswith(outcome)


def test_ten_thousand_classes_keep_no_matrix_and_little_memory(seed: int) -> None:
    K = 10_000
    predictions = list(np.random.default_rng(seed).random((50, K), dtype=np.float32))
    tracemalloc.start()
    found = evaluate(TASK, predictions, [i * 7 for i in range(50)], labels(K), samples=20)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.confusion is None
    assert len(found.metrics) == 4 + 3 * K
    assert peak < 40 * 2**20  # twenty mappings of 30,004 numbers alone were more
