"""Groups, rates and schedules against hand numbers and torch's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from tunesmith.data.data import Data
from tunesmith.errors import BadPlan
from tunesmith.networks.network import Network
from tunesmith.plan import CHOICES, Phase, Plan, Settings
from tunesmith.tasks.task import Task
from tunesmith.training.loop import Training
from tunesmith.training.optimize import (
    factor,
    optimizer_for,
    optimizer_tensors,
    restore_optimizer,
    set_rates,
    trainable,
)

Make = Callable[..., Network]
PHASE = Phase("full", 1, (1e-4, 0.0, 2e-4, 1e-3))


def spent(optimizer: torch.optim.Optimizer) -> dict[str, tuple[float, float]]:
    """Rate and decay of every weight that an optimizer moves, by name."""
    return {n: (g["lr"], g["weight_decay"]) for g in optimizer.param_groups for n in g["names"]}


def test_every_weight_has_the_rate_of_its_stage(small: Make) -> None:
    found = spent(optimizer_for(small(), PHASE, Settings()))
    assert {n[0]: lr for n, (lr, _) in found.items()} == {"a": 1e-4, "c": 2e-4, "h": 1e-3}


def test_biases_and_norms_are_not_decayed(small: Make) -> None:
    found = spent(optimizer_for(small(), PHASE, Settings(weight_decay=0.05)))
    decayed = {name for name, (_, decay) in found.items() if decay == 0.05}
    assert decayed == {"a.conv.weight", "c.conv.weight", "head.weight"}
    assert {decay for name, (_, decay) in found.items() if name not in decayed} == {0.0}


def test_a_norm_over_maps_is_not_decayed_although_its_weight_has_three_dimensions(small: Make) -> None:
    network = small()
    module: Any = network.module
    module.a.norm = nn.LayerNorm([4, 8, 8])
    network.stages[0].__dict__["weights"] = ("a.conv.weight", "a.norm.weight", "a.norm.bias")
    found = spent(optimizer_for(network, PHASE, Settings(weight_decay=0.05)))
    assert found["a.norm.weight"] == (1e-4, 0.0)


def test_a_phase_without_weights_to_train_is_refused(small: Make) -> None:
    phase = Phase("bare", 1, (1e-3, 0.0, 0.0, 0.0), parts="norm")
    with pytest.raises(BadPlan, match="phase 'bare' has nothing to train"):
        optimizer_for(small(norm=False), phase, Settings())


def test_trainable_lists_weights_from_the_input_on(small: Make) -> None:
    names = [name.partition(".")[0] for name in trainable(small(), PHASE)]
    assert names == sorted(names)
    assert set(names) == {"a", "c", "head"}


def test_set_rates_multiplies_each_groups_peak(small: Make) -> None:
    optimizer = optimizer_for(small(), PHASE, Settings())
    for share in (0.5, 0.25):  # from the peak, not from where the last share left it
        set_rates(optimizer, share)
        assert {g["lr"] for g in optimizer.param_groups} == {1e-4 * share, 2e-4 * share, 1e-3 * share}


@pytest.mark.parametrize(
    ("schedule", "warmup", "expected"),
    [
        ("constant", 0.0, [1, 1, 1, 1, 1, 1]),
        ("constant", 0.5, [1 / 3, 2 / 3, 1, 1, 1, 1]),
        ("linear", 0.0, [1, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6]),
        ("step", 0.0, [1, 1, 0.1, 0.1, 0.01, 0.01]),
        ("cosine", 0.0, [1, (1 + 3**0.5 / 2) / 2, 0.75, 0.5, 0.25, (1 - 3**0.5 / 2) / 2]),
    ],
)
def test_schedules_by_hand(schedule: str, warmup: float, expected: list[float]) -> None:
    found = [factor(step, 6, schedule=schedule, warmup=warmup) for step in range(6)]
    assert found == pytest.approx(expected)


def rates_of_torch(make: Callable[[torch.optim.Optimizer], Any], steps: int) -> list[float]:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler, rates = make(optimizer), []
    for _ in range(steps):
        rates.append(float(optimizer.param_groups[0]["lr"]))
        optimizer.step()
        scheduler.step()
    return rates


def test_cosine_is_torchs_cosine_annealing() -> None:
    theirs = rates_of_torch(lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, T_max=40), 40)
    assert [factor(s, 40, schedule="cosine", warmup=0.0) for s in range(40)] == pytest.approx(
        theirs, abs=1e-9
    )


def test_linear_is_torchs_linear_decay() -> None:
    theirs = rates_of_torch(lambda o: torch.optim.lr_scheduler.LinearLR(o, 1.0, 0.0, total_iters=40), 40)
    assert [factor(s, 40, schedule="linear", warmup=0.0) for s in range(40)] == pytest.approx(
        theirs, abs=1e-9
    )


def test_step_is_torchs_multi_step() -> None:
    theirs = rates_of_torch(lambda o: torch.optim.lr_scheduler.MultiStepLR(o, [10, 20], gamma=0.1), 30)
    assert [factor(s, 30, schedule="step", warmup=0.0) for s in range(30)] == pytest.approx(theirs)


def test_one_cycle_is_torchs_one_cycle() -> None:
    """torch's runs from the first to the last step, ours to the step after: so torch's is given one more.

    torch counts the last rate from the first one (1/25), so 1/10,000 of the peak is 1/400 of that.
    """
    steps = 30
    rise = [factor(s, steps, schedule="one-cycle", warmup=0.5) for s in range(10)]
    theirs = rates_of_torch(
        lambda o: torch.optim.lr_scheduler.OneCycleLR(
            o, 1.0, total_steps=steps + 1, pct_start=10 / 31, final_div_factor=400, cycle_momentum=False
        ),
        steps,
    )
    assert theirs[9] == pytest.approx(1.0)  # torch's peak
    assert rise[0] == pytest.approx(theirs[0])
    ours = [factor(s, steps, schedule="one-cycle", warmup=0.0) for s in range(steps)]
    assert ours.index(max(ours)) == 9
    assert max(ours) == 1.0
    assert ours[0] == pytest.approx(1 / 25)
    assert factor(steps, steps, schedule="one-cycle", warmup=0.0) == pytest.approx(1e-4)
    # the fall has the same shape, from the same peak to the same floor, over as many steps
    assert ours[9:] == pytest.approx(theirs[9:], abs=1e-9)


@pytest.mark.parametrize("schedule", CHOICES["schedule"])
@pytest.mark.parametrize("warmup", [0.0, 0.1, 1.0])
def test_a_share_is_above_zero_and_at_most_one(schedule: str, warmup: float) -> None:
    for steps in (1, 2, 3, 7, 50, 333):
        shares = [factor(s, steps, schedule=schedule, warmup=warmup) for s in range(steps)]
        assert all(0 < share <= 1 for share in shares), (steps, shares)


@pytest.mark.parametrize("steps", [3, 9, 15, 30, 99, 300, 999])
def test_the_step_schedule_falls_exactly_at_the_thirds(steps: int) -> None:
    found = [factor(s, steps, schedule="step", warmup=0.0) for s in range(steps)]
    assert found == pytest.approx([0.1 ** (3 * s // steps) for s in range(steps)])


def stepped(network: Network, optimizer: torch.optim.Optimizer, steps: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        for parameter in trainable(network, PHASE).values():
            parameter.grad = torch.randn(parameter.shape, generator=generator)
        optimizer.step()


@pytest.mark.parametrize("name", CHOICES["optimizer"])
def test_an_optimizer_that_was_put_back_by_name_takes_the_same_next_steps(name: str, small: Make) -> None:
    settings = Settings(optimizer=name)
    ours, theirs, blind = small(), small(), small()
    optimizer = optimizer_for(ours, PHASE, settings)
    stepped(ours, optimizer, 3, seed=1)
    again, forgetful = optimizer_for(theirs, PHASE, settings), optimizer_for(blind, PHASE, settings)
    for network in (theirs, blind):
        network.module.load_state_dict(ours.module.state_dict())
    restore_optimizer(again, {k: v.clone() for k, v in optimizer_tensors(optimizer).items()})
    for o in (optimizer, again, forgetful):
        set_rates(o, 1.0)
    for network, o in ((ours, optimizer), (theirs, again), (blind, forgetful)):
        stepped(network, o, 3, seed=2)
    same = [
        torch.equal(a, b) for a, b in zip(ours.module.parameters(), theirs.module.parameters(), strict=True)
    ]
    assert all(same)
    # The control: without its state an optimizer takes other steps, or this proof is blind.
    assert not torch.equal(ours.module.head.weight, blind.module.head.weight)  # type: ignore[union-attr,arg-type]


def test_state_is_named_after_the_weight_it_belongs_to(small: Make) -> None:
    network = small()
    optimizer = optimizer_for(network, PHASE, Settings())
    stepped(network, optimizer, 2, seed=0)
    found = optimizer_tensors(optimizer)
    assert found["exp_avg.head.weight"].shape == (3, 6)
    assert float(found["step.c.norm.bias"]) == 2
    assert not [name for name in found if ".b." in name]  # b is frozen


def test_the_optimizers_of_earlier_phases_are_not_kept(small: Make, task: Task, pixels: Data) -> None:
    phases = tuple(Phase(f"phase {i}", 1, (1e-3,) * 4) for i in range(3))
    training = Training(small(), task, pixels, Plan("three", phases, Settings(batch=8)), device="cpu")
    for _ in training:
        assert len(training.accelerator._optimizers) <= 1


def test_averages_restored_into_another_layout_lie_as_their_parameter() -> None:
    """A fused step reads both in a row: averages in other strides would silently belong to other weights."""

    def steps(*, moved: bool, strides: bool = True) -> torch.Tensor:
        torch.manual_seed(0)
        weight = nn.Parameter(torch.randn(4, 3, 3, 3))
        gradients = [torch.randn(4, 3, 3, 3) for _ in range(2)]
        group = {"params": [weight], "names": ["w"]}
        optimizer = torch.optim.AdamW([group], lr=0.1, fused=True)
        for i, gradient in enumerate(gradients):
            if i and moved:
                saved = {k: t.contiguous().clone() for k, t in optimizer_tensors(optimizer).items()}
                weight.data = weight.data.to(memory_format=torch.channels_last)
                optimizer = torch.optim.AdamW([{"params": [weight], "names": ["w"]}], lr=0.1, fused=True)
                restore_optimizer(optimizer, saved)
                if not strides:
                    state = optimizer.state[weight]
                    state.update({k: t.contiguous() for k, t in state.items()})
                gradient = gradient.to(memory_format=torch.channels_last)
            weight.grad = gradient
            optimizer.step()
        return weight.detach().contiguous()

    assert torch.equal(steps(moved=True), steps(moved=False))
    assert not torch.equal(steps(moved=True, strides=False), steps(moved=False))
