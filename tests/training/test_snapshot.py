"""A training that is taken down at any event, and set up anew, ends with the same bits."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from tunesmith.data.data import Data
from tunesmith.networks.network import Network
from tunesmith.plan import Phase, Plan, Settings
from tunesmith.tasks.task import Task
from tunesmith.training import loop
from tunesmith.training.events import EpochEnd, PhaseEnd, PhaseStart, Step
from tunesmith.training.loop import Training
from tunesmith.training.state import Snapshot, read_checkpoint, write_checkpoint

Make = Callable[..., Network]
PHASES = (
    Phase("head", 1, (0.0, 0.0, 0.0, 0.02)),
    Phase("top", 1, (0.0, 0.01, 0.01, 0.02), parts="norm"),
    Phase("full", 2, (0.01,) * 4, patience=1),
)
WAYS: dict[str, dict[str, Any]] = {
    "sgd": {"optimizer": "sgd"},
    "adamw": {"optimizer": "adamw", "weight_decay": 0.1},
    "augment": {"augment": "standard", "balance": "sampler"},
    "one-cycle": {"schedule": "one-cycle", "balance": "weights", "clip": None},
}


def plan(way: str, seed: int) -> Plan:
    return Plan("by hand", PHASES, Settings(batch=8, batch_norm="train", seed=seed, **WAYS[way]))


def kept(snapshot: Snapshot) -> Snapshot:
    """Its tensors are the network's own, and these go on moving."""
    tensors = {k: {n: t.clone() for n, t in named.items()} for k, named in snapshot.tensors.items()}
    return Snapshot(copy.deepcopy(snapshot.progress), tensors, copy.deepcopy(snapshot.randoms))


def end(network: Network, training: Training) -> tuple[dict[str, Tensor], list[dict[str, Any]]]:
    state = {n: t.clone() for n, t in network.module.state_dict().items()}
    rows = [{k: v for k, v in row.items() if k != "seconds"} for row in training.progress.history]
    return state, rows


def same(one: tuple[dict[str, Tensor], Any], two: tuple[dict[str, Tensor], Any]) -> bool:
    return one[1] == two[1] and all(torch.equal(t, two[0][n]) for n, t in one[0].items())


@pytest.mark.parametrize("way", WAYS)
def test_a_training_taken_down_at_any_event_ends_with_the_same_bits(
    way: str, small: Make, task: Task, pixels: Data, seed: int
) -> None:
    network = small(dropout=0.3)
    training = Training(network, task, pixels, plan(way, seed), device="cpu")
    snapshots = []
    for event in training:
        snapshots.append((event, kept(training.snapshot())))
    whole = end(network, training)
    assert {type(event) for event, _ in snapshots} == {PhaseStart, Step, EpochEnd, PhaseEnd}
    assert len(snapshots) >= 3 * (1 + 3 + 1 + 1)
    for event, snapshot in snapshots:
        torch.manual_seed(99)  # whatever happened in between
        fresh = small(dropout=0.3)
        again = Training(fresh, task, pixels, plan(way, seed), device="cpu", snapshot=snapshot)
        for _ in again:
            pass
        assert same(end(fresh, again), whole), event


def test_another_seed_ends_with_other_bits(small: Make, task: Task, pixels: Data, seed: int) -> None:
    """The control: were `same` blind, every training would seem to resume."""

    def run(seed: int) -> tuple[dict[str, Tensor], Any]:
        network = small(dropout=0.3)
        training = Training(network, task, pixels, plan("adamw", seed), device="cpu")
        list(training)
        return end(network, training)

    assert same(run(seed), run(seed))
    assert not same(run(seed), run(seed + 1))


@pytest.mark.parametrize("forgotten", ["optimizer", "random"])
def test_without_its_optimizer_or_random_state_it_ends_with_other_bits(
    forgotten: str, small: Make, task: Task, pixels: Data, seed: int
) -> None:
    """The second control: that each part of a snapshot matters."""
    network = small(dropout=0.3)
    training = Training(network, task, pixels, plan("adamw", seed), device="cpu")
    snapshots = [kept(training.snapshot()) for event in training if isinstance(event, Step)]
    whole = end(network, training)
    taken = snapshots[1]
    tensors = dict(taken.tensors)
    tensors[forgotten] = (
        {} if forgotten == "optimizer" else {"cpu": torch.Generator().manual_seed(5).get_state()}
    )
    fresh = small(dropout=0.3)
    again = Training(
        fresh, task, pixels, plan("adamw", seed), device="cpu", snapshot=replace(taken, tensors=tensors)
    )
    list(again)
    assert not same(end(fresh, again), whole)


def test_whether_one_token_suffices_is_asked_once_in_a_phase_resumed_or_not(
    small: Make, task: Task, pixels: Data, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights that have moved may answer otherwise, and dropout would then draw other numbers."""
    asked: list[int] = []
    monkeypatch.setattr(loop, "first_token_block", lambda *_: asked.append(1))
    training = Training(small(dropout=0.3), task, pixels, plan("adamw", seed), device="cpu")
    snapshots = [kept(training.snapshot()) for event in training if isinstance(event, Step)]
    assert len(asked) == 3
    again = Training(
        small(dropout=0.3), task, pixels, plan("adamw", seed), device="cpu", snapshot=snapshots[4]
    )
    list(again)
    assert len(asked) == 3 + 1  # the fifth step is of the second phase


def test_taken_down_before_a_head_is_solved_later_phases_draw_the_same_numbers(
    small: Make, task: Task, pixels: Data, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Training, "solve", lambda *_: SimpleNamespace(loss=1.0))
    phases = (Phase("head", 1, (0.0, 0.0, 0.0, 1e-2), solver="lbfgs"), Phase("full", 1, (1e-2,) * 4))
    solved = Plan("lp_ft", phases, Settings(batch=8, seed=seed))
    network = small(dropout=0.3)
    training = Training(network, task, pixels, solved, device="cpu")
    snapshots = [kept(training.snapshot()) for _ in training]
    whole = end(network, training)
    for snapshot in snapshots[:3]:
        torch.manual_seed(99)
        fresh = small(dropout=0.3)
        again = Training(fresh, task, pixels, solved, device="cpu", snapshot=snapshot)
        list(again)
        assert same(end(fresh, again), whole)


def test_a_snapshot_survives_the_disk(
    small: Make, task: Task, pixels: Data, seed: int, tmp_path: Path
) -> None:
    network = small(dropout=0.3)
    training = Training(network, task, pixels, plan("sgd", seed), device="cpu")
    for i, _ in enumerate(training):
        if i == 9:
            write_checkpoint(tmp_path, training.snapshot())
    snapshot, _ = read_checkpoint(tmp_path)
    fresh = small(dropout=0.3)
    again = Training(fresh, task, pixels, plan("sgd", seed), device="cpu", snapshot=snapshot)
    list(again)
    assert same(end(fresh, again), end(network, training))
