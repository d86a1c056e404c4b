"""A range test reads rates off a curve, and leaves nothing behind: not a bit of what it found is changed."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tunesmith.choosing import range_test as module
from tunesmith.choosing.range_test import RangeTest, minimum, range_test, steepest, valley
from tunesmith.data.data import Data
from tunesmith.errors import BadOption, BadPlan, Diverged
from tunesmith.networks.network import Network
from tunesmith.plan import Phase, Plan, Settings
from tunesmith.tasks.task import Task
from tunesmith.training.events import Step
from tunesmith.training.loop import Training

Make = Callable[..., Network]
FULL = Phase("full", 3, (1e-3, 1e-3, 2e-3, 1e-2))


def training(network: Network, task: Task, data: Data, *phases: Phase, **settings: Any) -> Training:
    plan = Plan("by hand", phases or (FULL,), Settings(batch=8, batch_norm="train", **settings))
    return Training(network, task, data, plan, device="cpu")


def end(network: Network, made: Training) -> tuple[dict[str, Tensor], list[float]]:
    weights = {name: tensor.clone() for name, tensor in network.module.state_dict().items()}
    return weights, [row["train_loss"] for row in made.progress.history]


def same(one: Any, two: Any) -> bool:
    return one[1] == two[1] and all(torch.equal(tensor, two[0][name]) for name, tensor in one[0].items())


def disturbed(small: Make, task: Task, pixels: Data) -> tuple[dict[str, Tensor], list[float]]:
    """How a training ends in whose midst, after five steps, a range test was made."""
    network = small(dropout=0.3)
    made = training(network, task, pixels)
    for i, _ in enumerate(event for event in made if isinstance(event, Step)):
        if i == 4:
            range_test(made, steps=20)
    return end(network, made)


@pytest.fixture
def undisturbed(small: Make, task: Task, pixels: Data) -> tuple[dict[str, Tensor], list[float]]:
    network = small(dropout=0.3)
    made = training(network, task, pixels)
    list(made)
    return end(network, made)


def test_a_training_in_whose_midst_a_range_test_is_made_ends_with_the_same_bits(
    small: Make, task: Task, pixels: Data, undisturbed: Any
) -> None:
    assert same(disturbed(small, task, pixels), undisturbed)


@pytest.mark.parametrize("forgotten", ["untouched", "restore_random"])
def test_it_ends_with_other_bits_where_something_is_not_put_back(
    forgotten: str, small: Make, task: Task, pixels: Data, undisturbed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: were the comparison blind, forgetting would not be noticed."""
    instead = {"untouched": lambda _: nullcontext(), "restore_random": lambda *_: None}
    monkeypatch.setattr(module, forgotten, instead[forgotten])
    assert not same(disturbed(small, task, pixels), undisturbed)


def test_gradients_modes_and_where_weights_lie_are_put_back(small: Make, task: Task, pixels: Data) -> None:
    network = small()
    made = training(network, task, pixels)
    network.module.eval()
    frozen: Any = network.module.get_parameter("a.conv.weight")
    frozen.requires_grad_(False)
    weight: Any = network.module.get_parameter("b.conv.weight")
    weight.grad = torch.full_like(weight, 0.25)
    layouts = [(p.stride(), p.data_ptr()) for p in network.module.parameters()]
    range_test(made, steps=20)
    assert not any(part.training for part in network.module.modules())
    assert not frozen.requires_grad
    assert torch.equal(weight.grad, torch.full_like(weight, 0.25))
    assert [(p.stride(), p.data_ptr()) for p in network.module.parameters()] == layouts
    assert [p.grad for p in network.module.parameters() if p is not weight] == [None] * 13


def test_the_same_test_gives_the_same_bits_wherever_the_generators_stand(
    small: Make, task: Task, pixels: Data
) -> None:
    found = []
    for state in (1, 2):
        network = small(dropout=0.3)
        torch.manual_seed(state)
        np.random.seed(state)
        found.append(range_test(training(network, task, pixels), steps=20))
    assert found[0] == found[1]
    assert found[0] != range_test(training(small(dropout=0.3), task, pixels, seed=7), steps=20)


def test_the_rates_are_those_of_the_stages_next_to_the_head(small: Make, task: Task, pixels: Data) -> None:
    seen: list[list[float]] = []
    made = training(small(), task, pixels, optimizer="sgd")

    def watched(index: int, shares: list[float]) -> Any:
        seen.append(shares)
        return Training.trial(made, index, shares)

    made.trial = watched  # type: ignore[method-assign, assignment]
    found = range_test(made, low=1e-5, high=1e-1, steps=21)
    assert found.lrs[0] == pytest.approx(1e-5)
    assert found.lrs[5] / found.lrs[0] == pytest.approx(10)
    assert seen[0][0] * 2e-3 == pytest.approx(1e-5)  # of the stage next to the head, not of the head


def test_a_loss_that_runs_away_ends_the_test_and_lies_above_what_is_recommended(
    small: Make, task: Task, pixels: Data
) -> None:
    head = Phase("head", 1, (0.0, 0.0, 0.0, 1e-3))
    made = training(small(norm=False), task, pixels, head, optimizer="sgd", clip=None)
    found = range_test(made, low=1e-3, high=10, steps=200)
    if found.ended == "every rate was tried":
        assert len(found.lrs) == 200
    else:
        assert len(found.lrs) < 200
    wild = training(small(norm=False), task, pixels, optimizer="sgd", clip=None)
    ended = range_test(wild, low=1e-2, high=10, steps=200)
    assert "the loss ran away at" in ended.ended or "the loss was no number at" in ended.ended
    assert len(ended.lrs) < 200
    for lr in (ended.valley, ended.minimum, ended.steepest):
        assert lr is None or lr < ended.lrs[-1]


def test_a_loss_that_falls_nowhere_recommends_nothing(small: Make, task: Task, pixels: Data) -> None:
    found = range_test(training(small(), task, pixels), low=1e-12, high=1e-10, steps=60)
    assert (found.valley, found.minimum, found.steepest) == (None, None, None)
    assert len(found.losses) == 60


def test_a_loss_that_falls_recommends_rates_between_the_lowest_and_the_highest(
    small: Make, task: Task, pixels: Data
) -> None:
    found = range_test(training(small(), task, pixels), low=1e-5, high=1e-1, steps=100)
    assert found.valley is not None
    assert found.steepest is not None
    assert 1e-5 < found.valley < 1e-1
    assert 1e-5 < found.steepest < 1e-1


def test_the_longest_fall_is_that_of_every_subsequence(seed: int) -> None:
    """Against the definition: all subsequences of ten losses are tried."""
    random = np.random.default_rng(seed)
    lrs = [float(i) for i in range(10)]
    for _ in range(30):
        losses = random.integers(0, 12, 10).tolist()
        falls = [
            picked
            for length in range(1, 11)
            for picked in itertools.combinations(range(10), length)
            if all(losses[a] > losses[b] for a, b in itertools.pairwise(picked))
        ]
        length = max(len(picked) for picked in falls)
        end_ = min(picked[-1] for picked in falls if len(picked) == length)
        place = max(0, end_ - length + length // 3 + length // 6)
        assert valley(lrs, losses) == lrs[place]


def test_readings_of_a_curve_by_hand() -> None:
    lrs = [1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0]
    losses = [2.0, 1.9, 1.2, 0.9, 0.8, 5.0]  # falls to 0.8 at 0.1, fastest from 1e-4 on
    assert minimum(lrs, losses) == pytest.approx(0.01)
    assert steepest(lrs, losses) == 1e-4
    assert valley(lrs, losses) == 1e-5  # the fall ends at index 4 and is 5 long: -1 + 1 + 0


def test_a_phase_whose_head_is_solved_has_no_rate_to_test(small: Make, task: Task, pixels: Data) -> None:
    head = Phase("head", 1, (0.0, 0.0, 0.0, 1e-3), solver="ridge")
    with pytest.raises(BadPlan, match="phase 'head' is solved by ridge, so it has no learning rate to test"):
        range_test(training(small(), task, pixels, head, FULL), phase=0)
    with pytest.raises(BadPlan, match="every phase of plan 'by hand' is solved"):
        range_test(training(small(), task, pixels, head))
    assert range_test(training(small(), task, pixels, head, FULL), steps=20).phase == "full"


def test_it_is_said_which_option_takes_the_rates(small: Make, task: Task, pixels: Data) -> None:
    head = Phase("head", 1, (0.0, 0.0, 0.0, 1e-3))
    made = training(small(), task, pixels, head, FULL)
    assert range_test(made, steps=20).option == "head_lr"
    assert range_test(made, phase=1, steps=20).option == "lr"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"low": 1e-2, "high": 1e-3}, "from a low rate to a high one"),
        ({"high": 11.0}, "at most 10"),
        ({"steps": 5}, "at least 20 steps"),
    ],
)
def test_a_range_that_is_none_is_refused(
    options: dict[str, Any], said: str, small: Make, task: Task, pixels: Data
) -> None:
    with pytest.raises(BadOption, match=said):
        range_test(training(small(), task, pixels), **options)


def test_a_first_loss_that_is_no_number_is_an_error_and_leaves_nothing(
    small: Make, task: Task, pixels: Data
) -> None:
    network = small()
    module_: Any = network.module
    module_.head.register_forward_hook(lambda _, given, logits: logits * float("nan"))
    before = {name: tensor.clone() for name, tensor in network.module.state_dict().items()}
    with pytest.raises(Diverged, match="the loss became nan"):
        range_test(training(network, task, pixels), steps=20)
    assert all(torch.equal(t, before[n]) for n, t in network.module.state_dict().items())


def test_a_plot_has_the_same_bits_each_time() -> None:
    pytest.importorskip("matplotlib")
    from tunesmith.reports.drawings.range_plot import range_plot

    losses = tuple(2.0 - i / 20 for i in range(30))
    rates = tuple(10 ** (i / 5 - 5) for i in range(30))
    test = RangeTest("head", rates, losses, losses, "x", "lr", False, 1e-3, 1e-4, None)
    svg = range_plot(test, "svg")
    assert svg == range_plot(test, "svg")
    assert b"valley 1.0e-03" in svg
    assert b"steepest" not in svg
    assert range_plot(test, "png").startswith(b"\x89PNG")
