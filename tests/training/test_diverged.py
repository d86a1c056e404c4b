"""A loss that is no number, or that runs away, ends training at once and says why."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tunesmith.data.data import Data
from tunesmith.errors import Diverged
from tunesmith.networks.network import Network
from tunesmith.plan import Phase, Plan, Settings
from tunesmith.tasks.classification import Classification
from tunesmith.tasks.task import Batch, Task
from tunesmith.training.events import EpochEnd, Event, Step
from tunesmith.training.loop import Training
from tunesmith.training.state import read_checkpoint, write_checkpoint

Make = Callable[..., Network]


class Failing(Classification):
    """The task, but from the given training step on the loss is something else."""

    bad_from: int
    bad: float
    seen: int

    def loss(self, network: Network, batch: Batch) -> Tensor:
        good = super().loss(network, batch)
        if not torch.is_grad_enabled():
            return good
        self.__dict__["seen"] += 1
        return good * 0 + self.bad if self.seen >= self.bad_from else good


def failing(task: Task, bad_from: int, bad: float) -> Any:
    values = {f.name: getattr(task, f.name) for f in dataclasses.fields(Classification)}
    made = Failing(**values)
    made.__dict__.update(bad_from=bad_from, bad=bad, seen=0)
    return made


def plan(epochs: float, lr: float = 1e-3, **settings: Any) -> Plan:
    return Plan("full", (Phase("full", epochs, (lr,) * 4),), Settings(batch=8, **settings))


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_training_stops_at_the_first_loss_that_is_no_number(
    bad: float, small: Make, task: Task, pixels: Data
) -> None:
    network, events = small(), list[Event]()
    with pytest.raises(Diverged, match=rf"the loss became {bad} at step 5 of phase 'full'.*--lr 0.0001"):
        events.extend(Training(network, failing(task, 5, bad), pixels, plan(4), device="cpu"))
    assert sum(isinstance(e, Step) for e in events) == 4
    assert all(bool(p.isfinite().all()) for p in network.module.parameters())


@pytest.mark.parametrize(
    ("step", "said"), [(2, "no validation had been reached"), (5, "the best network so far is the result")]
)
def test_the_message_says_whether_there_is_a_best_network(
    step: int, said: str, small: Make, task: Task, pixels: Data
) -> None:
    with pytest.raises(Diverged, match=said):
        list(Training(small(), failing(task, step, math.nan), pixels, plan(4), device="cpu"))


def test_the_last_checkpoint_before_it_is_kept(small: Make, task: Task, pixels: Data, tmp_path: Path) -> None:
    training = Training(small(), failing(task, 5, math.nan), pixels, plan(4), device="cpu")

    def watched() -> None:
        for event in training:
            if isinstance(event, EpochEnd):
                write_checkpoint(tmp_path, training.snapshot())

    with pytest.raises(Diverged):
        watched()
    kept, complaints = read_checkpoint(tmp_path)
    assert kept is not None
    assert (kept.progress.steps, kept.progress.epoch, complaints) == (3, 1, [])
    assert all(bool(t.isfinite().all()) for t in kept.tensors["best"].values())


def test_a_gradient_that_is_no_number_stops_before_the_step(small: Make, task: Task, pixels: Data) -> None:
    network = small()
    module: Any = network.module
    module.head.weight.register_hook(lambda gradient: gradient * math.nan)
    with pytest.raises(Diverged, match="the gradient became infinite or NaN at step 1"):
        list(Training(network, task, pixels, plan(1), device="cpu"))
    assert all(bool(p.isfinite().all()) for p in network.module.parameters())


def test_a_loss_that_runs_away_stops_training(small: Make, task: Task, pixels: Data) -> None:
    """From step 10 on it is 100: the moving average, 0.9 old + 0.1 new, passes 4 times the first loss at
    once, but is believed from step 20 on only."""
    events: list[Event] = []
    with pytest.raises(
        Diverged, match=r"the loss ran away in phase 'full': .* and the run began with 1\.\d+"
    ):
        events.extend(Training(small(), failing(task, 10, 100.0), pixels, plan(20), device="cpu"))
    assert sum(isinstance(e, Step) for e in events) == 19


def test_one_bad_batch_is_not_yet_a_loss_that_runs_away(small: Make, task: Task, pixels: Data) -> None:
    class Once(Failing):
        def loss(self, network: Network, batch: Batch) -> Tensor:
            found = super().loss(network, batch)
            return found if self.seen == 22 else Classification.loss(self, network, batch)

    values = {f.name: getattr(task, f.name) for f in dataclasses.fields(Classification)}
    once: Any = Once(**values)
    once.__dict__.update(bad_from=22, bad=20.0, seen=0)  # 0.1 x 20 + 0.9 x 1.1 = 3, below 4 x 1.1
    events = list(Training(small(), once, pixels, plan(10), device="cpu"))
    assert max(e.loss for e in events if isinstance(e, Step)) == 20


def test_a_rate_that_is_far_too_high_is_found_out(small: Make, task: Task, pixels: Data) -> None:
    """Nothing pretended: SGD at rate 10 without clipping, on a network without BatchNorm."""
    wild = plan(30, 10.0, optimizer="sgd", clip=None, warmup=0.0, schedule="constant")
    with pytest.raises(Diverged, match=r"the highest learning rate there is 10\. Lower it \(--lr 1\)"):
        list(Training(small(norm=False), task, pixels, wild, device="cpu"))


def test_a_validation_loss_that_is_no_number_stops_training(small: Make, task: Task, pixels: Data) -> None:
    network = small()
    module: Any = network.module
    module.head.register_forward_hook(lambda m, _, logits: logits if m.training else logits * math.nan)
    with pytest.raises(Diverged, match="the validation loss became nan"):
        list(Training(network, task, pixels, plan(1), device="cpu"))
