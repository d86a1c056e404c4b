"""Of networks that validation cannot tell apart the simplest is kept."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tunesmith.tasks import TASKS
from tunesmith.tasks.task import Labels, Task
from tunesmith.verdicts.keeping import BETWEEN, PROBE, TRAINED, Candidate, Decision, decide

TASK: Task = TASKS.load("image-classification")()
LABELS = Labels(("a", "b"), (50, 50))
TRUTH = np.arange(100) % 2


def answers(wrong: int, *, sure: float = 0.9) -> list[Any]:
    """Right for all but the first so many."""
    guess = TRUTH.copy()
    guess[:wrong] = 1 - guess[:wrong]
    return [np.array([sure, 1 - sure]) if k == 0 else np.array([1 - sure, sure]) for k in guess]


def kept(*wrong: int, metric: str = "accuracy", groups: Any = None) -> Decision:
    """Of a probe, an interpolation and a trained network that get so many wrong."""
    names = [(PROBE, None), (BETWEEN, 0.5), (TRAINED, None)]
    candidates = [Candidate(what, answers(n), c) for (what, c), n in zip(names, wrong, strict=True)]
    return decide(TASK, candidates, TRUTH.tolist(), LABELS, metric, groups)


def test_a_clear_gain_is_kept_with_its_reason() -> None:
    found = kept(30, 20, 5)
    assert (found.what, found.coefficient) == (TRAINED, None)
    assert found.sentence == (
        "kept: the fine-tuned network, because on validation it gains 0.250 over the linear probe, more than "
        f"one standard error ({found.sentence.rpartition('(')[2]}"
    )
    assert found.valid == {"linear probe": 0.7, "interpolation at 0.5": 0.8, "fine-tuned network": 0.95}


@pytest.mark.parametrize(
    ("wrong", "what"), [((10, 10, 10), PROBE), ((10, 9, 9), PROBE), ((10, 8, 8), BETWEEN)]
)
def test_a_tie_and_a_single_example_go_to_the_simpler(wrong: tuple[int, int, int], what: str) -> None:
    assert kept(*wrong).what == what


def test_a_gain_that_is_not_above_its_error_goes_to_the_simpler() -> None:
    """Twelve wrong against ten others: a gain of 0.02, and 22 examples on which the two differ."""
    other = TRUTH.copy()
    other[50:60] = 1 - other[50:60]
    trained = [np.array([0.9, 0.1]) if k == 0 else np.array([0.1, 0.9]) for k in other]
    candidates = [Candidate(PROBE, answers(12)), Candidate(TRAINED, trained)]
    found = decide(TASK, candidates, TRUTH.tolist(), LABELS, "accuracy")
    assert found.what == PROBE
    assert "the fine-tuned network gains 0.020, within one standard error (0.047)" in found.sentence


def test_what_is_worse_is_not_kept() -> None:
    found = kept(5, 20, 40)
    assert found.what == PROBE
    assert found.sentence == "kept: the linear probe, because on validation nothing else is better."


def test_of_losses_the_least_is_the_best() -> None:
    candidates = [Candidate(PROBE, answers(5, sure=0.6)), Candidate(TRAINED, answers(5, sure=0.95))]
    assert decide(TASK, candidates, TRUTH.tolist(), LABELS, "log_loss").what == TRAINED
    assert decide(TASK, candidates[::-1], TRUTH.tolist(), LABELS, "log_loss").what == TRAINED


def test_examples_of_one_group_are_no_independent_gains() -> None:
    """Six pictures more, all of one patient: alone a gain, together one lucky patient."""
    assert kept(16, 16, 10).what == TRAINED
    one_patient = np.where((np.arange(100) >= 10) & (np.arange(100) < 16), 1000, np.arange(100))
    assert kept(16, 16, 10, groups=one_patient).what == PROBE
