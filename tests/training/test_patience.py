"""A phase ends when validation stops gaining; the best network is what remains."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from tunesmith.data.data import Data
from tunesmith.errors import UnknownName
from tunesmith.networks.network import Network
from tunesmith.plan import Phase, Plan, Settings
from tunesmith.tasks.task import Task
from tunesmith.training.events import EpochEnd, PhaseEnd, PhaseStart
from tunesmith.training.loop import Training
from tunesmith.training.progress import Progress

Make = Callable[..., Network]
HEAD, FULL = (0.0, 0.0, 0.0, 1e-3), (1e-3,) * 4


class Scripted(Training):
    """A training whose validations score what they are told to."""

    script: list[float]

    def _validate(self, *arguments: Any) -> EpochEnd:
        score = self.script[len(self.progress.history)]
        task: Any = self.validation.task
        proper = type(task).score
        self.validation.task = _Scoring(task, {"accuracy": score, "log_loss": 1.0}, proper)
        try:
            return super()._validate(*arguments)
        finally:
            self.validation.task = task


class _Scoring:
    def __init__(self, task: Any, scores: dict[str, float], proper: object) -> None:
        self.task, self.scores = task, scores

    def __getattr__(self, name: str) -> Any:
        return getattr(self.task, name)

    def score(self, *_: object, **__: object) -> dict[str, float]:
        return self.scores


def scripted(
    network: Network, task: Task, data: Data, phases: tuple[Phase, ...], script: list[float]
) -> Scripted:
    # Without weight decay and at rate 0 in effect the loss cannot decide ties: it is the same in every epoch.
    training = Scripted(network, task, data, Plan("by hand", phases, Settings(batch=8)), device="cpu")
    training.script = script
    return training


def epochs(training: Training) -> tuple[list[str], list[str | None], list[bool]]:
    rows, stops, best = [], [], []
    for event in training:
        if isinstance(event, EpochEnd):
            rows.append(event.row["phase"])
            best.append(event.best)
        if isinstance(event, PhaseEnd):
            stops.append(event.stopped)
    return rows, stops, best


def test_a_phase_ends_after_so_many_validations_without_gain(small: Make, task: Task, pixels: Data) -> None:
    phases = (Phase("full", 9, FULL, patience=2),)
    rows, stops, best = epochs(scripted(small(), task, pixels, phases, [0.5, 0.6, 0.6 - 1e-9, 0.4, 0.9]))
    assert len(rows) == 4
    assert stops == ["patience"]
    assert best == [True, True, False, False]


def test_a_gain_begins_the_count_anew(small: Make, task: Task, pixels: Data) -> None:
    phases = (Phase("full", 6, FULL, patience=2),)
    rows, stops, _ = epochs(scripted(small(), task, pixels, phases, [0.5, 0.4, 0.6, 0.5, 0.7, 0.6]))
    assert len(rows) == 6
    assert stops == [None]


def test_without_patience_a_phase_takes_all_its_epochs(small: Make, task: Task, pixels: Data) -> None:
    rows, stops, _ = epochs(
        scripted(small(), task, pixels, (Phase("full", 5, FULL),), [0.5, 0.4, 0.3, 0.2, 0.1])
    )
    assert (len(rows), stops) == (5, [None])


def test_each_phase_counts_for_itself(small: Make, task: Task, pixels: Data) -> None:
    """The second phase begins below the first one's best, and still may gain on itself."""
    phases = (Phase("head", 3, HEAD, patience=1), Phase("full", 3, FULL, patience=1))
    rows, stops, best = epochs(scripted(small(), task, pixels, phases, [0.9, 0.8, 0.5, 0.6, 0.7]))
    assert rows == ["head", "head", "full", "full", "full"]
    assert stops == ["patience", None]
    assert best == [True, False, False, False, False]


def weights(network: Network) -> dict[str, Tensor]:
    return {n: t.detach().clone() for n, t in network.module.state_dict().items()}


def same(one: dict[str, Tensor], two: dict[str, Tensor]) -> bool:
    return all(torch.equal(t, two[n]) for n, t in one.items())


@pytest.mark.parametrize("best_epoch", [0, 1, 2, 3])
def test_the_result_is_the_network_of_the_best_validation_whole(
    best_epoch: int, small: Make, task: Task, pixels: Data
) -> None:
    """Also where a later phase moved stages that the best network still had frozen."""
    network = small()
    script = [0.5 + 0.4 * (i == best_epoch) for i in range(4)]
    training = scripted(network, task, pixels, (Phase("head", 2, HEAD), Phase("full", 2, FULL)), script)
    seen = [weights(network) for event in training if isinstance(event, EpochEnd)]
    assert same(weights(network), seen[best_epoch])
    assert [same(weights(network), s) for s in seen].count(True) == 1


def test_after_patience_the_next_phase_begins_where_validation_was_best(
    small: Make, task: Task, pixels: Data
) -> None:
    network = small()
    phases = (Phase("head", 5, HEAD, patience=1), Phase("full", 1, FULL))
    seen: list[dict[str, Tensor]] = []
    begun: list[dict[str, Tensor]] = []
    for event in scripted(network, task, pixels, phases, [0.5, 0.7, 0.6, 0.8]):
        if isinstance(event, EpochEnd):
            seen.append(weights(network))
        if isinstance(event, PhaseStart):
            begun.append(weights(network))
    assert same(begun[1], seen[1])
    assert not same(begun[1], seen[2])


def test_of_equal_scores_the_later_network_is_kept_and_patience_runs_out() -> None:
    """The loss rises before the accuracy falls; it says whether waiting pays, not which network is better."""
    progress = Progress()
    rated = [(0.7, 0.5), (0.7, 0.6), (0.69, 0.1), (0.7, 0.4)]
    assert [(progress.rate_validation(*own), progress.stale) for own in rated] == [
        (True, 0),
        (True, 1),
        (False, 2),
        (True, 0),
    ]


def test_of_a_loss_less_is_better(small: Make, task: Task, pixels: Data) -> None:
    plan = Plan("full", (Phase("full", 6, (0.02,) * 4),), Settings(batch=8, metric="log_loss"))
    training = Training(small(), task, pixels, plan, device="cpu")
    rows = [e.row for e in training if isinstance(e, EpochEnd)]
    least = min(rows, key=lambda row: row["valid_loss"])
    assert training.progress.best is not None
    assert training.progress.best["epoch"] == least["epoch"]
    assert least["valid_loss"] < max(row["valid_loss"] for row in rows)


def test_a_metric_that_is_not_there_is_refused_before_training(small: Make, task: Task, pixels: Data) -> None:
    plan = Plan("full", (Phase("full", 1, FULL),), Settings(metric="acuracy"))
    with pytest.raises(UnknownName, match=r"no metric named 'acuracy'; did you mean 'accuracy'\?"):
        Training(small(), task, pixels, plan, device="cpu")


@pytest.mark.parametrize("metric", ["balanced_accuracy", "macro_f1", "f1/red", "recall/blue"])
def test_every_metric_of_the_task_can_decide(metric: str, small: Make, task: Task, pixels: Data) -> None:
    plan = Plan("full", (Phase("full", 1, FULL),), Settings(batch=8, metric=metric))
    training = Training(small(), task, pixels, plan, device="cpu")
    list(training)
    assert training.progress.best is not None
