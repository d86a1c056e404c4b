"""A frozen stage is the same, bit for bit, after training; and what moves is what the phase says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tunesmith.data.data import Data
from tunesmith.errors import FrozenMoved, TiedWeights
from tunesmith.networks.network import Network
from tunesmith.plan import Phase, Plan, Settings
from tunesmith.strategies import STRATEGIES
from tunesmith.tasks.task import Task
from tunesmith.training import frozen
from tunesmith.training.events import PhaseEnd, PhaseStart, Step
from tunesmith.training.loop import Training

Make = Callable[..., Network]
OPTIONS: dict[str, dict[str, Any]] = {"top": {"unfreeze": 1}, "surgical": {"unfreeze": [1]}}
SETTINGS = Settings(batch=8, batch_norm="train", weight_decay=0.1)


def copied(network: Network, part: int) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in network.tensors(part).items()}


def same(before: dict[str, Tensor], after: dict[str, Tensor]) -> bool:
    return all(torch.equal(before[name], after[name]) for name in before)


def after_one_phase(network: Network, task: Task, data: Data, phase: Phase, **settings: Any) -> set[str]:
    """The names of the weights and buffers that a phase moved."""
    before = {n: t for i in range(4) for n, t in copied(network, i).items()}
    plan = Plan("by hand", (phase,), Settings(**{"batch": 8, "batch_norm": "train", **settings}))
    training = Training(network, task, data, plan, device="cpu")
    moved: set[str] = set()
    for event in training:
        if isinstance(event, PhaseEnd):
            now = {n: t for i in range(4) for n, t in network.tensors(i).items()}
            moved = {n for n in before if not torch.equal(before[n], now[n])}
    return moved


@pytest.mark.parametrize("strategy", [s for s in STRATEGIES.names() if s != "contrastive"])  # of texts
def test_a_frozen_stage_is_the_same_bits_after_its_phase(
    strategy: str, small: Make, task: Task, pixels: Data
) -> None:
    network = small(dropout=0.3)
    plan = STRATEGIES.load(strategy)(3, 4, 0.01, **OPTIONS.get(strategy, {}))
    # A rung that did not gain is put back, and then nothing of it has moved.
    plan = Plan(strategy, tuple(replace(phase, must_gain=False) for phase in plan.phases), SETTINGS)
    before: dict[int, dict[str, Tensor]] = {}
    for event in Training(network, task, pixels, plan, device="cpu"):
        if isinstance(event, PhaseStart):
            before = {i: copied(network, i) for i in range(4)}
            assert "a.norm.num_batches_tracked" in before[0]
            assert "a.norm.running_mean" in before[0]
        if isinstance(event, PhaseEnd):
            for i, lr in enumerate(event.phase.lrs):
                assert same(before[i], network.tensors(i)) == (lr == 0)  # the unfrozen ones are the control


class Counting(nn.BatchNorm2d):
    """A layer that counts its calls in a buffer, in eval mode too."""

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, features: Tensor) -> Tensor:
        calls: Any = self.calls
        calls += 1
        return super().forward(features)


def test_a_buffer_that_changes_in_eval_mode_stops_the_run(small: Make, task: Task, pixels: Data) -> None:
    lib = type(small().module)

    def with_counter(dropout: float, norm: bool, room: int) -> nn.Module:
        module: Any = lib(dropout, norm, room)
        module.a.norm = Counting(4)
        return module  # type: ignore[no-any-return]

    plan = Plan("head", (Phase("head", 1, (0.0, 0.0, 0.0, 1e-3)),), SETTINGS)
    with pytest.raises(FrozenMoved, match=r"stage a was frozen in phase 'head' but its weights or buffers"):
        list(Training(small(lib=with_counter), task, pixels, plan, device="cpu"))


def test_a_buffer_that_changes_in_an_unfrozen_stage_is_allowed(small: Make, task: Task, pixels: Data) -> None:
    lib = type(small().module)

    def with_counter(dropout: float, norm: bool, room: int) -> nn.Module:
        module: Any = lib(dropout, norm, room)
        module.a.norm = Counting(4)
        return module  # type: ignore[no-any-return]

    moved = after_one_phase(small(lib=with_counter), task, pixels, Phase("full", 1, (1e-3,) * 4))
    assert "a.norm.calls" in moved


def test_dropout_is_off_where_a_stage_is_frozen_and_on_where_it_is_not(small: Make) -> None:
    network = small(dropout=0.5)
    phase = Phase("top 1", 1, (0.0, 0.0, 1e-3, 1e-3))
    frozen.apply(network, phase, batch_norm="train")
    module: Any = network.module
    images, maps = torch.ones(2, 3, 8, 8), torch.ones(2, 6, 8, 8)
    assert torch.equal(module.a(images), module.a(images))
    assert not torch.equal(module.c(maps), module.c(maps))


def test_frozen_weights_hold_no_gradient(small: Make) -> None:
    network = small()
    for parameter in network.module.parameters():
        parameter.grad = torch.ones_like(parameter)
    frozen.apply(network, Phase("top 1", 1, (0.0, 0.0, 1e-3, 1e-3)), batch_norm="train")
    held = {n for n, p in network.module.named_parameters() if p.grad is not None}
    assert held == {n for n, p in network.module.named_parameters() if p.requires_grad}
    assert held == {
        "c.conv.weight",
        "c.conv.bias",
        "c.norm.weight",
        "c.norm.bias",
        "head.weight",
        "head.bias",
    }


def test_norm_only_moves_exactly_the_norms_and_the_head(small: Make, task: Task, pixels: Data) -> None:
    phase = Phase("full", 1, (0.0, 0.01, 0.01, 0.01), parts="norm")
    moved = after_one_phase(small(), task, pixels, phase, batch_norm="frozen")
    assert moved == {f"{s}.norm.{w}" for s in "bc" for w in ("weight", "bias")} | {"head.weight", "head.bias"}


def test_bias_only_moves_exactly_the_biases_and_the_head(small: Make, task: Task, pixels: Data) -> None:
    phase = Phase("full", 1, (0.0, 0.01, 0.01, 0.01), parts="bias")
    moved = after_one_phase(small(), task, pixels, phase, batch_norm="frozen")
    assert moved == {f"{s}.{m}.bias" for s in "bc" for m in ("conv", "norm")} | {"head.weight", "head.bias"}


@pytest.mark.parametrize(("batch_norm", "counts"), [("train", True), ("frozen", False), ("auto", False)])
def test_batch_norm_of_unfrozen_stages_counts_only_where_it_trains(
    batch_norm: str, counts: bool, small: Make, task: Task, pixels: Data
) -> None:
    """24 training examples are below the 1,000 at which "auto" trusts a batch's statistics."""
    moved = after_one_phase(small(), task, pixels, Phase("full", 1, (0.01,) * 4), batch_norm=batch_norm)
    statistics = {f"{s}.norm.{b}" for s in "abc" for b in ("running_mean", "running_var")}
    assert (statistics <= moved) == counts
    assert statistics & moved in (statistics, set())
    assert "a.norm.weight" in moved  # scale and shift train either way


@pytest.mark.parametrize("batch", [23, 12])
def test_a_batch_of_one_example_is_trained_on_but_not_counted(
    batch: int, small: Make, task: Task, pixels: Data
) -> None:
    """24 examples in batches of 23 leave one over; torch's BatchNorm refuses it where maps are 1 x 1."""
    network = small()
    module: Any = network.module
    module.c.register_forward_pre_hook(lambda _, maps: maps[0].mean((2, 3), keepdim=True))
    plan = Plan("full", (Phase("full", 1, (0.01,) * 4),), Settings(batch=batch, batch_norm="train"))
    steps = [e.examples for e in Training(network, task, pixels, plan, device="cpu") if isinstance(e, Step)]
    assert steps == {23: [23, 1], 12: [12, 12]}[batch]
    assert int(module.c.norm.num_batches_tracked) == steps.count(batch)


@pytest.mark.parametrize(
    ("count", "batch", "expected"), [(999, 16, "frozen"), (1000, 16, "train"), (1000, 15, "frozen")]
)
def test_auto_batch_norm_needs_a_thousand_examples_and_sixteen_a_batch(
    count: int, batch: int, expected: str
) -> None:
    assert frozen.batch_norm_of(Settings(batch=batch), count) == expected
    assert frozen.batch_norm_of(Settings(batch=batch, batch_norm="train"), count) == "train"


def test_training_a_head_tied_to_a_frozen_stage_is_refused(small: Make) -> None:
    network = small()
    network.ties = (("a.conv.weight", "head.weight"),)
    with pytest.raises(
        TiedWeights, match=r"head\.weight and a\.conv\.weight of stage a are one tensor.*untie=True"
    ):
        frozen.apply(network, Phase("head", 1, (0.0, 0.0, 0.0, 1e-3)), batch_norm="train")
    frozen.apply(network, Phase("full", 1, (1e-3,) * 4), batch_norm="train")
