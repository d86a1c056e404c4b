"""When memory runs out a batch goes in pieces, and its gradient stays that of the whole batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from tunesmith.data.data import Data
from tunesmith.errors import OutOfMemory
from tunesmith.networks.network import Network
from tunesmith.plan import Phase, Plan, Settings
from tunesmith.tasks.task import Task
from tunesmith.training.events import EpochEnd, Event, Halved, Step
from tunesmith.training.loop import Training
from tunesmith.training.memory import pieces_that_fit, ran_out

Make = Callable[..., Network]


def needs(least: int) -> Callable[[int], str]:
    def run(pieces: int) -> str:
        if pieces < least:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return f"in {pieces}"

    return run


def test_pieces_double_until_they_fit() -> None:
    assert pieces_that_fit(needs(5), 32) == ("in 8", 8)


def test_pieces_begin_where_they_last_fitted() -> None:
    assert pieces_that_fit(needs(1), 32, pieces=4) == ("in 4", 4)


def test_there_are_never_more_pieces_than_examples() -> None:
    assert pieces_that_fit(needs(6), 6) == ("in 6", 6)


def test_one_example_too_much_is_an_error_with_a_cure() -> None:
    with pytest.raises(
        OutOfMemory, match=r"even one example at a time does not fit.*--image-size.*--max-length"
    ):
        pieces_that_fit(needs(33), 32)


def test_other_errors_are_not_taken_for_a_lack_of_memory() -> None:
    tried = []

    def run(pieces: int) -> None:
        tried.append(pieces)
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        pieces_that_fit(run, 32)
    assert tried == [1]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.OutOfMemoryError("anything"), True),
        (MemoryError(), True),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"), True),
        (RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate"), True),
        (RuntimeError("CUDA error: device-side assert triggered"), False),
        (ValueError("no such label"), False),
    ],
)
def test_a_lack_of_memory_is_known_by_its_type_or_words(error: Exception, expected: bool) -> None:
    assert ran_out(error) == expected


def one_step(
    network: Network, task: Task, data: Data, **settings: Any
) -> tuple[list[Event], dict[str, Tensor]]:
    """Events and weights after one step of SGD at rate 1: the weights have moved by their gradient."""
    plan = Plan(
        "full",
        (Phase("full", 1e-6, (1.0,) * 4),),
        Settings(optimizer="sgd", momentum=0.0, weight_decay=0.0, clip=None, schedule="constant", warmup=0.0,
                 batch=24, **settings),
    )  # fmt: skip
    events: list[Event] = []
    weights: dict[str, Tensor] = {}
    for event in Training(network, task, data, plan, device="cpu"):
        events.append(event)
        if isinstance(event, Step):
            weights = {n: p.detach().clone() for n, p in network.module.named_parameters()}
    return events, weights


@pytest.mark.parametrize(("room", "pieces"), [(12, 2), (7, 4), (5, 8), (1, 24)])
def test_the_gradient_in_pieces_is_that_of_the_whole_batch(
    room: int, pieces: int, small: Make, task: Task, pixels: Data
) -> None:
    _, whole = one_step(small(norm=False), task, pixels)
    events, cut = one_step(small(norm=False, room=room), task, pixels)
    assert [e.pieces for e in events if isinstance(e, Halved)] == [pieces]
    for name, weight in whole.items():
        assert torch.allclose(weight, cut[name], atol=1e-6, rtol=0), name
    start = dict(small(norm=False).module.named_parameters())
    assert (whole["head.weight"] - start["head.weight"]).abs().max() > 1e-3  # or there is nothing to compare


def test_the_weighted_gradient_in_pieces_is_that_of_the_whole_batch(
    small: Make, task: Task, pixels: Data
) -> None:
    weighted = Data("pixels", "image", {
        **pixels.splits, "train": pixels.train.add_column("weight", [float(1 + i % 5) for i in range(24)])
    }, (), "")  # fmt: skip
    _, whole = one_step(small(norm=False), task, weighted)
    _, cut = one_step(small(norm=False, room=7), task, weighted)
    _, plain = one_step(small(norm=False), task, pixels)
    for name, weight in whole.items():
        assert torch.allclose(weight, cut[name], atol=1e-6, rtol=0), name
    assert not torch.allclose(whole["head.weight"], plain["head.weight"], atol=1e-6)


def test_the_loss_in_pieces_is_that_of_the_whole_batch(small: Make, task: Task, pixels: Data) -> None:
    def losses(room: int) -> tuple[float, float]:
        events, _ = one_step(small(norm=False, room=room), task, pixels)
        step = next(e for e in events if isinstance(e, Step))
        epoch = next(e for e in events if isinstance(e, EpochEnd))
        return step.loss, epoch.row["valid_loss"]

    assert losses(5) == pytest.approx(losses(24), abs=1e-6)


def test_a_network_too_large_for_one_example_stops_the_training(
    small: Make, task: Task, pixels: Data
) -> None:
    with pytest.raises(OutOfMemory, match="even one example at a time"):
        one_step(small(norm=False, room=0), task, pixels)
