"""When time is up, training ends at the next step, validates, and keeps the best so far."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tunesmith.data.data import Data
from tunesmith.networks.network import Network
from tunesmith.plan import Phase, Plan, Settings
from tunesmith.tasks.task import Task
from tunesmith.training import loop
from tunesmith.training.events import EpochEnd, PhaseEnd, Step
from tunesmith.training.loop import Training

Make = Callable[..., Network]
PHASES = (Phase("head", 50, (0.0, 0.0, 0.0, 1e-3)), Phase("full", 50, (1e-3,) * 4))


class Clock:
    """A clock that is one second later whenever it is looked at."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        self.now += 1
        return self.now


def training(network: Network, task: Task, data: Data, limit: float | None) -> Training:
    plan = Plan("lp_ft", PHASES, Settings(batch=8))
    return Training(network, task, data, plan, device="cpu", time_limit=limit)


def test_time_that_is_up_ends_training_after_one_step(small: Make, task: Task, pixels: Data) -> None:
    running = training(small(), task, pixels, 1e-9)
    events = list(running)
    assert [type(e).__name__ for e in events] == ["PhaseStart", "Step", "EpochEnd", "PhaseEnd"]
    assert [e.stopped for e in events if isinstance(e, PhaseEnd)] == ["time limit"]
    assert running.progress.ended == "time limit"


def test_what_was_reached_is_validated_and_kept(small: Make, task: Task, pixels: Data) -> None:
    running = training(small(), task, pixels, 1e-9)
    rows = [e for e in running if isinstance(e, EpochEnd)]
    assert [e.best for e in rows] == [True]
    assert running.progress.best is not None
    assert set(running.kept.best) == {"head.weight", "head.bias"}


def test_training_ends_at_the_first_step_past_the_limit(
    small: Make, task: Task, pixels: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock is looked at when it is set, after each step, and at each validation (every 3 steps).

    So 10 seconds are over at the 11th look: steps 1 2 3, a validation, 4 5 6, a validation, 7 8 9.
    """
    monkeypatch.setattr(loop, "time", Clock())
    events = list(training(small(), task, pixels, 10.0))
    assert sum(isinstance(e, Step) for e in events) == 9
    assert sum(isinstance(e, EpochEnd) for e in events) == 3


def test_without_a_limit_time_does_not_end_training(
    small: Make, task: Task, pixels: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "time", Clock())
    plan = Plan("head", (Phase("head", 2, PHASES[0].lrs),), Settings(batch=8))
    running = Training(small(), task, pixels, plan, device="cpu")
    list(running)
    assert running.progress.ended == "plan"


def test_a_training_that_is_over_stays_over_when_it_is_set_up_again(
    small: Make, task: Task, pixels: Data
) -> None:
    running = training(small(), task, pixels, 1e-9)
    list(running)
    plan = Plan("lp_ft", PHASES, Settings(batch=8))
    again = Training(small(), task, pixels, plan, device="cpu", snapshot=running.snapshot())
    assert list(again) == []
    assert again.progress.ended == "time limit"
