"""How far stages moved: by hand, and beside the weights that a fit begins and ends with."""

from __future__ import annotations

import copy
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

import tunesmith as ts
from tunesmith.plan import Phase, Plan
from tunesmith.reports.moved import Pretrained
from tunesmith.verbs.reporting import Silent


class Small(nn.Module):
    """Two convolutions and a head.

    unused: give the first one a parameter without elements.
    """

    def __init__(self, *, unused: bool = False) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, stride=2)
        if unused:
            self.first.unused = nn.Parameter(torch.empty(0))
        self.second = nn.Conv2d(4, 8, 3, stride=2)
        self.head = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        """Images to logits."""
        maps = self.second(self.first(x).relu()).relu()
        return self.head(maps.mean((2, 3)))  # type: ignore[no-any-return]


def network(*, unused: bool = False) -> ts.Network:
    torch.manual_seed(0)
    return ts.network(Small(unused=unused), example=torch.zeros(1, 3, 32, 32), stages=["first", "second"])


def plan(*lrs: float) -> Plan:
    return Plan("hand", (Phase("all", 1, lrs),))


def test_weights_that_grew_by_half_moved_by_a_half(tmp_path: Path) -> None:
    made = network()
    began = Pretrained(made, plan(1e-3, 1e-3, 1e-3), tmp_path)
    assert [moved.distance for moved in began.distances(made)] == [0.0, 0.0]
    with torch.no_grad():
        for weight in made.module.get_submodule("second").parameters():
            weight.mul_(1.5)
    first, second = began.distances(made)
    assert (first.stage, first.distance, first.trained) == ("first", 0.0, True)
    assert second.distance == pytest.approx(0.5, rel=1e-6)


def test_a_frozen_stage_is_not_even_looked_at(tmp_path: Path) -> None:
    made = network()
    began = Pretrained(made, plan(0.0, 1e-3, 1e-3), tmp_path)
    with torch.no_grad():
        for weight in made.module.parameters():
            weight.mul_(2)
    first, second = began.distances(made)
    assert (first.distance, first.trained) == (0.0, False)
    assert second.distance == pytest.approx(1)


def test_weights_of_16_bits_are_kept_as_they_are(tmp_path: Path) -> None:
    made = network()
    made.module.to(torch.bfloat16)
    began = Pretrained(made, plan(1e-3, 1e-3, 1e-3), tmp_path)
    with torch.no_grad():
        made.module.get_submodule("first").weight.mul_(2)  # type: ignore[operator]
        made.module.get_submodule("first").bias.mul_(2)  # type: ignore[operator]
    assert [m.distance for m in began.distances(made)] == [1.0, 0.0]


def test_nothing_is_left_in_the_folder(tmp_path: Path) -> None:
    began = Pretrained(network(), plan(1e-3, 1e-3, 1e-3), tmp_path)
    assert list(tmp_path.iterdir()) == []
    began.close()


def test_a_fit_keeps_how_far_its_saved_weights_are_from_the_first_ones(photos: Path, tmp_path: Path) -> None:
    made = network()
    before = copy.deepcopy(made.module.state_dict())
    run = ts.fit(
        photos, model=made, strategy="full", epochs=2, batch=8, lr=0.01, keep="trained", device="cpu",
        out=tmp_path / "run", reporter=Silent(),
    )  # fmt: skip
    assert run is not None
    after = load_file(run.folder / "model" / "weights.safetensors")
    for kept in run.facts["moved"]:
        names = [f"{kept['stage']}.weight", f"{kept['stage']}.bias"]
        gone = sum(float((after[n].double() - before[n].double()).square().sum()) for n in names)
        size = sum(float(before[n].double().square().sum()) for n in names)
        assert kept["distance"] == pytest.approx((gone / size) ** 0.5, rel=1e-9)
        assert kept["distance"] > 1e-4  # or equality would say nothing
        assert kept["trained"]


def test_a_probe_moves_no_stage(photos: Path, tmp_path: Path) -> None:
    run = ts.fit(
        photos, model=network(), strategy="linear_probe", epochs=1, device="cpu",
        out=tmp_path / "run", reporter=Silent(),
    )  # fmt: skip
    assert run is not None
    assert [(m["distance"], m["trained"]) for m in run.facts["moved"]] == [(0.0, False)] * 2


@pytest.mark.parametrize(
    ("when", "error"),
    [
        ("__init__", OSError(28, "No space left on device")),
        ("distances", OSError(5, "Input/output error")),
    ],
)
def test_a_disk_that_fails_costs_the_distances_alone(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str, error: OSError
) -> None:
    def failing(*_: object) -> None:
        raise error

    monkeypatch.setattr(Pretrained, when, failing)
    run = ts.fit(
        photos, model=network(), strategy="lp_ft", epochs=1, device="cpu", out=tmp_path / "run",
        reporter=Silent(),
    )  # fmt: skip
    assert run is not None
    assert run.finished
    assert run.facts["moved"] is None
    assert run.facts["seconds"] > 0


def test_a_parameter_without_elements_ended_a_run_after_training(photos: Path, tmp_path: Path) -> None:
    run = ts.fit(
        photos, model=network(unused=True), strategy="full", epochs=1, batch=8, keep="trained", device="cpu",
        out=tmp_path / "run", reporter=Silent(),
    )  # fmt: skip
    assert run is not None
    assert run.finished
    assert all(m["distance"] > 0 for m in run.facts["moved"])


def test_the_first_weights_lay_in_a_buffer_until_training_was_over(tmp_path: Path) -> None:
    began = Pretrained(network(), plan(1e-3, 1e-3, 1e-3), tmp_path)
    numbers = (4 * 3 * 9 + 4) + (8 * 4 * 9 + 8)
    assert os.fstat(began._file.fileno()).st_size == 4 * numbers
    began.close()
