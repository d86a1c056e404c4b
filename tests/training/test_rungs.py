"""A phase that must gain is kept if it does; if not, what stood before it is put back."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tunesmith.data.data import Data
from tunesmith.errors import Diverged
from tunesmith.networks.network import Network
from tunesmith.plan import Phase, Plan, Settings
from tunesmith.tasks.task import Labels, Task
from tunesmith.training.events import EpochEnd, PhaseStart, RungEnd
from tunesmith.training.loop import Training
from tunesmith.training.rungs import paired_gain
from tunesmith.training.state import TAKEN, Snapshot, read_checkpoint, write_checkpoint
from tunesmith.training.stepping import Stepper

Make = Callable[..., Network]
PHASES = (
    Phase("head", 2, (0.0, 0.0, 0.0, 0.02)),
    Phase("last 1", 2, (0.0, 0.0, 0.01, 0.01), must_gain=True),
    Phase("full", 2, (0.01,) * 4, must_gain=True),
)
PLAN = Plan("auto", PHASES, Settings(batch=8, batch_norm="train"))


def weights(network: Network) -> dict[str, Tensor]:
    return {n: t.clone() for n, t in network.module.state_dict().items()}


def same(one: dict[str, Tensor], two: dict[str, Tensor]) -> bool:
    return all(torch.equal(t, two[n]) for n, t in one.items())


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """From now on the gains of rungs are these, each with an error of 0.1; the last one again and again."""

    def judge(*gains: float) -> None:
        left = list(gains)
        answer = lambda *_: (left.pop(0) if len(left) > 1 else left[0], 0.1)  # noqa: E731
        monkeypatch.setattr("tunesmith.training.rungs.paired_gain", answer)

    return judge


def run(network: Network, task: Task, data: Data, **options: Any) -> tuple[Training, list[Any], list[Any]]:
    """The training, what it said of rungs, and the weights at the best validation of each phase."""
    training = Training(network, task, data, PLAN, device="cpu", **options)
    rungs, best = [], {}
    for event in training:
        if isinstance(event, RungEnd):
            rungs.append(event.rung)
        if isinstance(event, EpochEnd) and event.best:
            best[event.row["phase"]] = weights(network)
    return training, rungs, list(best.values())


def test_a_rung_that_does_not_gain_is_undone_to_the_bit(
    small: Make, task: Task, pixels: Data, judged: Callable[..., None]
) -> None:
    judged(0.05)
    network = small()
    training, rungs, best = run(network, task, pixels)
    assert [(r.name, r.taken, r.why) for r in rungs] == [
        ("last 1", False, "no_gain"),
        ("full", False, "no_gain"),
    ]
    assert training.progress.ended == "plan"
    assert training.progress.best is not None
    assert training.progress.best["phase"] == 0
    assert same(weights(network), best[0])
    assert not same(best[1], best[0])  # or there was nothing to undo


def test_a_rung_that_gains_is_kept_and_the_next_begins_from_its_best(
    small: Make, task: Task, pixels: Data, judged: Callable[..., None]
) -> None:
    judged(0.2, 0.05)
    network = small()
    training, rungs, best = run(network, task, pixels)
    assert [(r.name, r.taken) for r in rungs] == [("last 1", True), ("full", False)]
    assert same(weights(network), best[1])
    assert training.progress.best is not None
    assert training.progress.best["phase"] == 1


def test_a_rung_that_was_left_may_lie_below_one_that_gains(
    small: Make, task: Task, pixels: Data, judged: Callable[..., None]
) -> None:
    judged(0.05, 0.2)
    network = small()
    training = Training(network, task, pixels, PLAN, device="cpu")
    rungs, best, begun = [], {}, {}
    for event in training:
        if isinstance(event, PhaseStart):
            begun[event.phase.name] = weights(network)
        if isinstance(event, EpochEnd) and event.best:
            best[event.row["phase"]] = weights(network)
        if isinstance(event, RungEnd):
            rungs.append(event.rung.taken)
    assert rungs == [False, True]
    assert training.progress.ended == "plan"
    assert same(begun["full"], best["head"])  # nothing of the rung between them is left
    assert not same(best["last 1"], best["head"])
    assert same(weights(network), best["full"])


def longer() -> Plan:
    """The plan with one more rung before the last."""
    more = Phase("last 2", 1, (0.0, 0.01, 0.01, 0.01), must_gain=True)
    return Plan("auto", (PHASES[0], PHASES[1], more, PHASES[2]), PLAN.settings)


@pytest.mark.parametrize(
    ("gains", "outcomes"),
    [
        ((0.05, 0.2), ["no_gain", "passed_over", "gain"]),
        ((0.2, 0.05, 0.2), ["gain", "no_gain", "gain"]),
    ],
)
def test_after_a_rung_without_gain_the_last_one_is_next(
    gains: tuple[float, ...],
    outcomes: list[str],
    small: Make,
    task: Task,
    pixels: Data,
    judged: Callable[..., None],
) -> None:
    judged(*gains)
    training = Training(small(), task, pixels, longer(), device="cpu")
    rungs = [event.rung for event in training if isinstance(event, RungEnd)]
    assert [rung.why for rung in rungs] == outcomes
    trained = {row["phase"] for row in training.progress.history}
    assert ("last 2" in trained) == ("passed_over" not in outcomes)
    assert training.progress.ended == "plan"


def test_a_rung_is_not_passed_over_for_one_that_would_take_too_long(
    small: Make, task: Task, pixels: Data, judged: Callable[..., None]
) -> None:
    judged(0.05, 0.2)
    limits: dict[str, Any] = {"time_limit": 600.0, "costs": [None, 1.0, 1.0, 1e9]}
    training = Training(small(), task, pixels, longer(), device="cpu", **limits)
    rungs = [event.rung for event in training if isinstance(event, RungEnd)]
    assert [rung.why for rung in rungs] == ["no_gain", "gain", "too_long"]


def test_every_rung_begins_where_validation_was_best_before_it(
    small: Make, task: Task, pixels: Data, judged: Callable[..., None]
) -> None:
    judged(0.2)
    network = small()
    training = Training(network, task, pixels, PLAN, device="cpu")
    best: dict[str, Tensor] = {}
    begun = []
    for event in training:
        if isinstance(event, PhaseStart) and event.index:
            begun.append(same(weights(network), best))
        if isinstance(event, EpochEnd) and event.best:
            best = weights(network)
    assert begun == [True, True]
    assert training.progress.ended == "plan"


def test_a_rung_that_would_take_too_long_does_not_begin(small: Make, task: Task, pixels: Data) -> None:
    network = small()
    training, rungs, best = run(network, task, pixels, time_limit=600.0, costs=[None, 1e9, 1.0])
    assert [(r.name, r.seconds, r.why) for r in rungs] == [("last 1", 1e9, "too_long")]
    assert {row["phase"] for row in training.progress.history} == {"head"}
    assert same(weights(network), best[0])
    _, unhurried, _ = run(small(), task, pixels, costs=[None, 1e9, 1.0])
    assert unhurried[0].why != "too_long"  # without a limit nothing is too long


@pytest.mark.parametrize("at", ["head", "last 1"])
def test_a_rung_that_diverges_is_left_and_a_first_phase_is_an_error(
    at: str, small: Make, task: Task, pixels: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    proper = Stepper.take

    def take(self: Stepper, *arguments: Any) -> float:
        if self.phase.name == at and self.progress.phase_steps == 4:
            raise Diverged("the loss became nan")
        return proper(self, *arguments)

    monkeypatch.setattr(Stepper, "take", take)
    network = small()
    if at == "head":
        with pytest.raises(Diverged):
            run(network, task, pixels)
        return
    _, rungs, best = run(network, task, pixels)
    assert [(r.name, r.why) for r in rungs] == [("last 1", "diverged"), ("full", "gain")]
    assert same(weights(network), best[-1])


def test_a_rung_whose_loss_ran_away_leaves_nothing_to_the_next(
    small: Make, task: Task, pixels: Data, judged: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    judged(0.2)
    proper = Stepper.take

    def take(self: Stepper, *arguments: Any) -> float:
        return 1e6 if self.phase.name == "last 1" else proper(self, *arguments)

    monkeypatch.setattr(Stepper, "take", take)
    long = replace(PHASES[0], epochs=8)  # before that nobody believes a loss that ran away
    plan = Plan("auto", (long, *PHASES[1:]), PLAN.settings)
    training = Training(small(), task, pixels, plan, device="cpu")
    rungs = [event.rung for event in training if isinstance(event, RungEnd)]
    assert [(r.name, r.why) for r in rungs] == [("last 1", "diverged"), ("full", "gain")]
    losses = [row["train_loss"] for row in training.progress.history if row["phase"] == "full"]
    assert max(losses) < 10


@pytest.mark.parametrize("gains", [(0.05,), (0.2,)], ids=["left", "taken"])
def test_taken_down_at_any_event_it_ends_with_the_same_bits_and_rungs(
    gains: tuple[float, ...],
    small: Make,
    task: Task,
    pixels: Data,
    judged: Callable[..., None],
    tmp_path: Any,
) -> None:
    judged(*gains)
    network = small(dropout=0.3)
    training = Training(network, task, pixels, PLAN, device="cpu")
    snapshots = []
    for event in training:
        taken = training.snapshot()
        tensors = {k: {n: t.clone() for n, t in named.items()} for k, named in taken.tensors.items()}
        snapshots.append((event, Snapshot(copy.deepcopy(taken.progress), tensors, taken.randoms)))
    whole, rungs = weights(network), training.progress.rungs
    assert rungs[0]["taken"] == (gains == (0.2,))
    for event, snapshot in snapshots:
        torch.manual_seed(99)
        fresh = small(dropout=0.3)
        again = Training(fresh, task, pixels, PLAN, device="cpu", snapshot=snapshot)
        list(again)
        assert same(weights(fresh), whole), event
        assert again.progress.rungs == rungs, event
    held = [s for _, s in snapshots if TAKEN in s.tensors]
    assert held
    write_checkpoint(tmp_path, held[0])
    back, _ = read_checkpoint(tmp_path)
    assert back is not None
    assert same(dict(back.tensors[TAKEN]), dict(held[0].tensors[TAKEN]))


@pytest.mark.parametrize("gain", [0.05, 0.2], ids=["left", "taken"])
def test_a_rung_in_which_time_is_up_is_judged_when_it_is_resumed(
    gain: float,
    small: Make,
    task: Task,
    pixels: Data,
    judged: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    judged(gain)
    late = lambda self: self.progress.phase == 1 and self.progress.phase_steps == 4  # noqa: E731
    monkeypatch.setattr(Training, "_late", late)
    network = small(dropout=0.3)
    training = Training(network, task, pixels, PLAN, device="cpu")
    for event in training:
        if isinstance(event, EpochEnd):
            taken = training.snapshot()
            tensors = {k: {n: t.clone() for n, t in named.items()} for k, named in taken.tensors.items()}
            last = Snapshot(copy.deepcopy(taken.progress), tensors, taken.randoms)
    assert training.progress.ended == "time limit"
    assert [rung["why"] for rung in training.progress.rungs] == ["gain" if gain > 0.1 else "no_gain"]
    fresh = small(dropout=0.3)
    again = Training(fresh, task, pixels, PLAN, device="cpu", snapshot=last)
    list(again)
    assert same(weights(fresh), weights(network))
    assert again.progress.rungs == training.progress.rungs
    assert again.progress.ended == "time limit"
    assert not same(dict(last.tensors["best"]), weights(network)) or gain > 0.1  # or nothing was at stake


class TestPairedGain:
    LABELS = Labels(("no", "yes"), (10, 10))

    def outcomes(self, right: int, count: int = 20) -> dict[str, np.ndarray]:
        truth = np.arange(count) % 2
        guess = np.where(np.arange(count) < right, truth, 1 - truth)
        return {"truth": truth, "guess": guess, "surprise": np.where(truth == guess, 0.1, 2.0)}

    def test_it_is_the_difference_on_the_same_examples(self, task: Task) -> None:
        gain, error = paired_gain(task, self.outcomes(18), self.outcomes(8), self.LABELS, "accuracy")
        assert gain == pytest.approx(0.5)
        assert error == pytest.approx(np.sqrt(0.5 * 0.5 / 20), rel=0.1)  # ten of twenty turned to right

    def test_one_answer_turned_is_no_gain(self, task: Task) -> None:
        gain, error = paired_gain(task, self.outcomes(11), self.outcomes(10), self.LABELS, "accuracy")
        assert gain == pytest.approx(0.05)
        assert not gain > error
        gain, error = paired_gain(task, self.outcomes(16), self.outcomes(10), self.LABELS, "accuracy")
        assert gain > error

    def test_of_a_loss_less_is_a_gain(self, task: Task) -> None:
        gain, _ = paired_gain(task, self.outcomes(18), self.outcomes(8), self.LABELS, "log_loss")
        assert gain == pytest.approx(0.95)

    def test_the_same_answers_gain_nothing(self, task: Task) -> None:
        same_ = self.outcomes(12)
        gain, error = paired_gain(task, same_, same_, self.LABELS, "macro_f1")
        assert gain == 0.0
        assert error == pytest.approx(1 / 20)
