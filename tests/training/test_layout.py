"""Where weights lie while a network trains changes how fast it is, and what it computes not at all."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from tunesmith.plan import Phase
from tunesmith.training.layout import lay_out, memory_kept

EVERYTHING = Phase("all", 1, (1e-4, 1e-4, 1e-3))
TOP = Phase("top", 1, (0.0, 1e-4, 1e-3))


class Photos(nn.Module):
    def __init__(self, *, viewed: str = "never") -> None:
        super().__init__()
        self.first, self.second, self.norm = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3), nn.BatchNorm2d(8)
        self.head, self.viewed = nn.Linear(8 * 16, 2), viewed

    def forward(self, images: Tensor) -> Tensor:
        maps = self.norm(self.second(self.first(images)))
        viewed = self.viewed == "always" or (self.viewed == "in training" and self.training)
        scores: Tensor = self.head(maps.view(len(maps), -1) if viewed else maps.flatten(1))
        return scores


def answers(module: nn.Module) -> Callable[[], Tensor]:
    torch.manual_seed(1)
    images = torch.randn(2, 3, 8, 8)
    return lambda: module(images)


def lies(module: nn.Module) -> bool:
    weight = module.get_parameter("second.weight")
    return weight.is_contiguous(memory_format=torch.channels_last) and not weight.is_contiguous()


def test_a_phase_that_trains_every_stage_gets_channels_last() -> None:
    module = Photos()
    before = answers(module)()
    assert lay_out(module, EVERYTHING, answers(module))
    assert lies(module)
    torch.testing.assert_close(answers(module)(), before)


def test_trying_a_step_leaves_nothing_behind() -> None:
    module = Photos()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    random = torch.get_rng_state()
    ask = answers(module)
    torch.set_rng_state(random)
    lay_out(module, EVERYTHING, ask)
    assert torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())
    assert all(parameter.grad is None for parameter in module.parameters())
    ask()  # the control: a batch moves what BatchNorm counts
    assert not torch.equal(module.norm.running_mean, before["norm.running_mean"])  # type: ignore[arg-type]


def test_a_phase_with_frozen_stages_keeps_the_layout_of_what_is_stored() -> None:
    module = Photos()
    lay_out(module, EVERYTHING, answers(module))
    assert not lay_out(module, TOP, answers(module))
    assert not lies(module)


@pytest.mark.parametrize("viewed", ["always", "in training"])
def test_code_that_insists_on_rows_keeps_the_usual_layout(viewed: str) -> None:
    module = Photos(viewed=viewed)
    assert not lay_out(module, EVERYTHING, answers(module))
    assert not lies(module)
    answers(module)()


@pytest.mark.parametrize("kind", [nn.Linear(4, 2), nn.Conv3d(3, 4, 3)])
def test_networks_without_flat_convolutions_stay_as_they_are(kind: nn.Module) -> None:
    assert not lay_out(kind, EVERYTHING, lambda: torch.zeros(1))


def test_whoever_chose_for_malloc_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr("tunesmith.training.layout.ctypes.CDLL", lambda name: asked.append(str(name)))
    monkeypatch.setenv("MALLOC_ARENA_MAX", "2")
    with memory_kept():
        assert not asked


def test_numbers_do_not_depend_on_memory_that_is_kept() -> None:
    def sums() -> Tensor:
        torch.manual_seed(0)
        module = Photos()
        module(torch.randn(64, 3, 8, 8)).square().sum().backward()
        assert module.first.weight.grad is not None
        return module.first.weight.grad.clone()

    before = sums()
    with memory_kept():
        assert torch.equal(sums(), before)
    assert torch.equal(sums(), before)
