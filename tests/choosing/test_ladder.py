"""How far up to train: rungs, what they cost, and that near and far data choose differently."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tunesmith.choosing import ladder
from tunesmith.choosing.folds import climbed as up_a_rung
from tunesmith.choosing.folds import fold_of, groups_of
from tunesmith.choosing.pilot import Pilot
from tunesmith.data.data import Data
from tunesmith.networks.network import Network, Stage, digest
from tunesmith.plan import Phase, Plan, Settings
from tunesmith.store import Store
from tunesmith.tasks.task import Task
from tunesmith.training.events import RungEnd
from tunesmith.training.examples import Examples
from tunesmith.training.loop import Training
from tunesmith.training.recorded import Recorded
from tunesmith.training.replaying import plan_replay
from tunesmith.training.rungs import Rung

Make = Callable[..., Network]
RATE = 0.05
PLAN = Plan(
    "auto",
    (
        Phase("head", 1, (0.0, 0.0, 0.0, 1e-2), solver="lbfgs"),
        Phase("last 1", 12, (0.0, 0.0, RATE, RATE), must_gain=True),
        Phase("full", 4, (RATE / 5,) * 4, must_gain=True),
    ),
    Settings(batch=16, metric="accuracy"),
)
LONGER = replace(
    PLAN,
    phases=(
        PLAN.phases[0],
        replace(PLAN.phases[1], epochs=1),
        Phase("last 2", 1, (0.0, RATE, RATE, RATE), must_gain=True),
        replace(PLAN.phases[2], epochs=1),
    ),
)


@pytest.fixture
def replayed(
    linear: Make, pictures: Callable[..., Data], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., dict[str, Any]]:
    """What a ladder needs of data of a kind, the activations that a plan's phases begin with stored."""
    monkeypatch.setattr(
        "tunesmith.training.replaying.BYTES_A_SECOND", 1e15
    )  # or so small a network runs live

    def make(kind: str, plan: Plan = PLAN) -> dict[str, Any]:
        net, data = linear(), pictures(kind)
        store = Store(tmp_path / "store")
        examples = {s: Examples(own, net.preprocess, store) for s, own in data.splits.items()}
        replaying = plan_replay(net, plan, examples["train"], count=336, room=None)
        assert replaying.at == ((3, 2, None) if plan is PLAN else (3, 2, 1, None))
        recorded = Recorded(net, store, replaying.cuts, examples["train"], engine="eager")
        for split in ("train", "valid"):
            recorded.fill(examples[split])
        return {
            "network": net,
            "data": data,
            "examples": examples,
            "recorded": recorded,
            "replaying": replaying,
        }

    return make


def climbed(task: Task, there: dict[str, Any], plan: Plan = PLAN, **options: Any) -> list[Rung]:
    """The rungs as out-of-fold answers decide on them; each was told."""
    data, net = there["data"], there["network"]
    labels = task.labels(data)
    targets = np.asarray(task.targets(data.train, labels))
    folds = fold_of(targets, groups_of(data, there["examples"]["train"]), folds=3)
    usual: dict[str, Any] = {"seconds": [None, 1.0, 1.0], "device": "cpu"}
    told: list[Rung] = []
    found = ladder.climb(
        net,
        task,
        data,
        labels,
        plan,
        there["examples"],
        there["recorded"],
        there["replaying"],
        folds,
        metric="accuracy",
        make=lambda dataset: Examples(dataset, net.preprocess),
        told=told.append,
        **{**usual, **options},
    )
    assert told == list(found.rungs)
    assert len(found.answers) == len(targets)
    return told


def test_out_of_fold_near_data_stay_at_the_head_and_far_data_climb(
    task: Task, replayed: Callable[[str], dict[str, Any]]
) -> None:
    near = climbed(task, replayed("near"))
    assert [(r.why, r.taken) for r in near] == [("first", True), ("no_gain", False), ("no_gain", False)]
    far = climbed(task, replayed("far"))
    assert far[1].taken
    assert far[1].gain is not None
    assert far[1].gain > 0.2


def test_on_validation_near_data_stay_at_the_head_and_far_data_climb(
    task: Task, replayed: Callable[[str], dict[str, Any]]
) -> None:
    taken = {}
    for kind in ("near", "far"):
        there = replayed(kind)
        own = {name: there[name] for name in ("examples", "recorded", "replaying")}
        training = Training(there["network"], task, there["data"], PLAN, device="cpu", **own)
        taken[kind] = [event.rung.taken for event in training if isinstance(event, RungEnd)]
    assert taken["near"] == [False, False]
    assert taken["far"][0]


def test_in_folds_a_rung_above_one_that_was_left_begins_where_that_one_did(
    task: Task, replayed: Callable[[str], dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[str] = []

    def seen(fold: Any, *arguments: Any, **options: Any) -> Any:
        begun.append(digest(fold.state))
        return up_a_rung(fold, *arguments, **options)

    monkeypatch.setattr(ladder, "climbed", seen)
    gains, known = iter([0.0, 0.5]), iter([0.0, 0.5])  # of last 1 and full, after two folds and at the end
    monkeypatch.setattr(ladder, "gap", lambda *_: next(known))
    monkeypatch.setattr("tunesmith.training.rungs.paired_gain", lambda *_: (next(gains), 0.1))
    rungs = climbed(task, replayed("far"))
    assert [rung.taken for rung in rungs] == [True, False, True]
    head, block, full = begun[:3], begun[3:5], begun[5:]  # the third fold of a rung without gain is spared
    assert full[:2] == block
    assert head[:2] != block


@pytest.mark.parametrize(
    ("seconds", "gains", "outcomes"),
    [
        ([None, 1.0, 1.0, 1.0], (0.0, 0.5), ["first", "no_gain", "passed_over", "gain"]),
        ([None, 1.0, 1.0, 1.0], (0.5, 0.0, 0.5), ["first", "gain", "no_gain", "gain"]),
        ([None, 1.0, 1.0, 1e6], (0.0, 0.5), ["first", "no_gain", "gain", "too_long"]),
    ],
)
def test_in_folds_the_last_rung_that_fits_the_time_follows_one_without_gain(
    seconds: list[float | None],
    gains: tuple[float, ...],
    outcomes: list[str],
    task: Task,
    replayed: Callable[..., dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun: set[str] = set()

    def seen(*arguments: Any, **options: Any) -> Any:
        begun.add(options["phases"][-1].name)
        return up_a_rung(*arguments, **options)

    told = iter(gains)
    monkeypatch.setattr(ladder, "climbed", seen)
    monkeypatch.setattr(ladder, "gap", lambda *_: 0.5)  # no rung is given up before its last fold
    monkeypatch.setattr("tunesmith.training.rungs.paired_gain", lambda *_: (next(told), 0.1))
    rungs = climbed(task, replayed("far", LONGER), LONGER, seconds=seconds, time_limit=1000.0)
    assert [rung.why for rung in rungs] == outcomes
    assert begun == {rung.name for rung in rungs if rung.why not in ("passed_over", "too_long")}
    assert next(told, None) is None


def test_a_network_that_climbed_in_folds_is_left_as_it_was(
    task: Task, replayed: Callable[[str], dict[str, Any]]
) -> None:
    there = replayed("far")
    before = digest(there["network"].module.state_dict())
    first = climbed(task, there)
    assert digest(there["network"].module.state_dict()) == before
    assert climbed(task, there) == first  # the same command, the same bits


def test_nothing_frozen_is_computed_for_the_folds(
    task: Task, replayed: Callable[[str], dict[str, Any]]
) -> None:
    there = replayed("far")
    computed = there["recorded"].computed
    assert computed == 192 + 96
    climbed(task, there)
    assert there["recorded"].computed == computed


def test_a_rung_that_does_not_fit_the_time_limit_is_left(
    task: Task, replayed: Callable[[str], dict[str, Any]]
) -> None:
    """The fit itself and three folds of which each learns from two thirds: three times 1,000 s."""
    rungs = climbed(task, replayed("far"), seconds=[None, 1000.0, 1.0], time_limit=2900.0)
    assert [r.why for r in rungs] == ["first", "too_long", "not_reached"]
    assert climbed(task, replayed("far"), seconds=[None, 900.0, 1.0], time_limit=2900.0)[1].why == "gain"


def test_the_plan_is_cut_down_to_what_was_taken() -> None:
    rungs = [
        Rung(n, None, None, None, t, "gain") for n, t in (("head", True), ("last 1", True), ("full", False))
    ]
    plan = ladder.cut_down(PLAN, rungs)
    assert [phase.name for phase in plan.phases] == ["head", "last 1"]
    assert not any(phase.must_gain for phase in plan.phases)


def test_what_training_judged_takes_the_place_of_what_was_expected() -> None:
    expected = ladder.expected(PLAN, [None, 5.0, 9.0])
    assert [(r.name, r.seconds, r.why) for r in expected] == [
        ("head", None, "first"),
        ("last 1", 5.0, "not_reached"),
        ("full", 9.0, "not_reached"),
    ]
    row = {"name": "last 1", "gain": 0.0, "error": 0.1, "seconds": 5.0, "taken": False, "why": "no_gain"}
    assert [r.why for r in ladder.outcome(expected, [row])] == ["first", "no_gain", "not_reached"]


def test_costs_count_forward_backward_and_validation() -> None:
    measured = Pilot((1.0,) * 4, (1.0,) * 4, (4.0, 3.0, 2.0, 1.0), (8.0, 6.0, 4.0, 2.0), (0,) * 4, 64)
    assert ladder.costs(PLAN, measured, train=10, valid=2, replayed=True) == [
        None,
        12 * (10 * (3 + 6) + 2 * 3),
        4 * (10 * (10 + 20) + 2 * 10),
    ]
    assert ladder.costs(PLAN, measured, train=10, valid=2, replayed=False)[1] == 12 * (10 * (10 + 6) + 2 * 10)


@pytest.mark.parametrize(
    ("limit", "times", "epochs"),
    [
        (155.0, 1, [1, 11, 4]),  # seven of each would fit, full has four at most, and the rest is the other's
        (350.0, 5, [1, 3, 4]),  # three of each in five trainings, and one more of the last
        (1000.0, 1, [1, 12, 4]),
        (55.0, 1, [1, 5, 4]),  # not three of each: the last will not be begun, and the first has it all
        (25.0, 1, [1, 2, 4]),  # fewer are better than none
        (5.0, 1, [1, 12, 4]),  # none at all
    ],
)
def test_rungs_get_equally_many_whole_epochs_of_those_that_fit(
    limit: float, times: int, epochs: list[float]
) -> None:
    plan, costs = ladder.within(PLAN, [None, 120.0, 40.0], limit, times=times)
    assert [phase.epochs for phase in plan.phases] == epochs
    assert costs == [None, 10.0 * epochs[1], 10.0 * epochs[2]]  # ten seconds an epoch


@pytest.mark.parametrize(
    ("work", "expected"),
    [([50, 30, 15, 5], [2, 3, 4]), ([97, 1, 1, 1], [4]), ([25, 25, 25, 25], [1, 4]), ([0, 0, 0], [1, 3])],
)
def test_the_rungs_hold_a_twelfth_a_quarter_and_all_of_the_work(
    work: list[int], expected: list[int], linear: Make
) -> None:
    net = linear()
    stages = tuple(Stage(f"s{i}", (), (), macs) for i, macs in enumerate(work))
    assert ladder.depths(replace(net, stages=stages)) == expected


def test_equal_bytes_share_a_fold(linear: Make, pictures: Callable[..., Data]) -> None:
    data, net = pictures("near", 20, 4), linear()
    doubled = data.train.select([*range(20), *range(20)])
    twice = Data("twice", "image", {**data.splits, "train": doubled}, (), "1" * 64)
    groups = groups_of(twice, Examples(doubled, net.preprocess))
    assert len(set(groups.tolist())) == 20
    assert (groups[:20] == groups[20:]).all()
