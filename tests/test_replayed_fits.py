"""What a person sees of replay in a whole fit: nothing is computed twice, and nothing comes out otherwise."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import tunesmith as ts
from tunesmith.errors import BadOption, BadPlan, EngineFailed

Answer = Any
PROBE = ("--model", "timm/test_resnet@none", "--image-size", 32, "--strategy", "linear_probe")


class Said:
    """A reporter that remembers."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.works: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)

    def warn(self, line: str) -> None:
        self.lines.append(f"warning: {line}")

    def work(self, what: str, total: int) -> Any:
        from contextlib import nullcontext

        self.works.append(f"{what}: {total}")
        return nullcontext(lambda _: None)

    def event(self, event: Any) -> None:
        pass

    def finished(self, run: Any) -> None:
        pass

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


@pytest.fixture
def fit(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[ts.Run, Said, dict[str, Any]]]:
    """A fit of seconds with a store of its own: the run, what was said, and its replay.json."""
    monkeypatch.setenv("TUNESMITH_CACHE", str(tmp_path / "cache"))
    count = 0

    def go(data: Any = None, **options: Any) -> tuple[ts.Run, Said, dict[str, Any]]:
        nonlocal count
        count += 1
        said = Said()
        usual = {
            "model": "timm/test_resnet@none",
            "image_size": 32,
            "epochs": 2,
            "keep": "trained",
            "batch": 8,
            "strategy": "linear_probe",
            "engine": "eager",
            "device": "cpu",
            "out": tmp_path / f"run{count}",
        }
        run = ts.fit(data or str(photos), **{**usual, **options}, reporter=said)
        assert run is not None
        return run, said, json.loads((run.folder / "replay.json").read_text())

    return go


def rows(run: ts.Run) -> list[dict[str, Any]]:
    return [{k: v for k, v in row.items() if k != "seconds"} for row in run.history]


def test_a_second_run_computes_nothing_and_ends_the_same(fit: Callable[..., Any]) -> None:
    first, said, ran = fit()
    assert first.replay == ran
    assert ran["computed"] == 48
    assert ran["share"] == 1.0
    assert "0 of 48 are there" in said.text
    second, said, again = fit()
    assert again["computed"] == 0
    assert "48 of 48 are there" in said.text
    assert not any("frozen stages of" in work for work in said.works)
    assert rows(first) == rows(second)
    assert first.scores == second.scores


def test_a_cleared_store_forgets_which_engine_was_chosen(fit: Callable[..., Any], tmp_path: Path) -> None:
    from tunesmith.store import CHOICES
    from tunesmith.verbs.storing import store

    fit()
    folder = tmp_path / "cache" / "store"
    assert list((folder / CHOICES).iterdir())
    assert all(row["removed"] for row in store("clear", folder=str(folder), yes=True))
    assert not (folder / CHOICES).exists()
    _, _, ran = fit()
    assert ran["computed"] == 48


def test_replay_changes_the_outcome_by_rounding_alone(fit: Callable[..., Any]) -> None:
    for strategy, wide in (("linear_probe", {}), ("gradual", {"lr": 1e-3}), ("lp_ft", {"lr": 1e-3})):
        with_replay, _, ran = fit(strategy=strategy, batch_norm="frozen", **wide)
        without, said, live = fit(strategy=strategy, batch_norm="frozen", replay=False, **wide)
        assert ran["share"] > 0
        assert live["share"] == 0
        assert "replay: off" in said.text
        for a, b in zip(rows(with_replay), rows(without), strict=True):
            assert a["train_loss"] == pytest.approx(b["train_loss"], abs=1e-4)
            assert a["valid_loss"] == pytest.approx(b["valid_loss"], abs=1e-4)


def test_new_photos_cost_their_own_pass_and_new_labels_none(
    fit: Callable[..., Any], photos: Path, tmp_path: Path
) -> None:
    import shutil

    from PIL import Image

    fit()
    more = tmp_path / "more"
    shutil.copytree(photos, more)
    for i in range(3):
        Image.new("RGB", (40, 40), (i * 40, 90, 10)).save(more / "green" / f"new{i}.png")
    (more / "blue").rename(more / "sky")
    _, _, ran = fit(str(more))
    assert ran["computed"] == 3


def test_the_plan_says_what_is_stored_and_what_it_brings(
    photos: Path, tunesmith: Callable[..., Answer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUNESMITH_CACHE", str(tmp_path / "cache"))
    told = tunesmith("fit", photos, *PROBE, "--dry-run", "--epochs", 10, "--engine", "eager").err
    assert "store: what reaches" in told
    assert "0 of 48 are there" in told
    assert "engine: eager in fp32: about " in told
    assert "at most" in told
    assert "times faster" in told


def test_where_nothing_may_be_stored_the_fit_goes_on(fit: Callable[..., Any], tmp_path: Path) -> None:
    _, said, ran = fit(store_limit=0)
    assert "do not fit into the store (--store-limit)" in said.text
    assert ran["share"] == 0
    kept = [p for p in (tmp_path / "cache" / "store").rglob("*.bin") if p.stat().st_size]
    assert kept == []


def test_augmented_images_run_live_or_as_stored_views(fit: Callable[..., Any]) -> None:
    _, said, _ = fit(augment="standard")
    assert "augmented training images go through the whole network, 2 passes over them" in said.text
    viewed, said, ran = fit(augment="standard", views=2)
    assert "2 views of each training image stored" in said.text
    assert ran["computed"] == 2 * 34  # of training; the images themselves are there
    again, _, ran = fit(augment="standard", views=2)
    assert ran["computed"] == 0
    assert rows(viewed) == rows(again)
    plain, _, _ = fit()
    assert rows(viewed) != rows(plain)


def test_stored_activations_can_be_augmented_themselves(fit: Callable[..., Any]) -> None:
    shaken, said, ran = fit(augment="features")
    assert "scaled at random, channel by channel" in said.text
    assert ran["share"] == 1.0
    plain, _, _ = fit()
    assert [r["train_loss"] for r in rows(shaken)] != [r["train_loss"] for r in rows(plain)]


@pytest.mark.parametrize("solver", ["ridge", "lbfgs"])
def test_a_head_can_be_solved(fit: Callable[..., Any], solver: str) -> None:
    run, _, _ = fit(solver=solver, epochs=7)
    assert len(run.history) == 1
    assert run.plan.phases[0].solver == solver
    stepped, _, _ = fit()
    assert run.history[0]["valid_loss"] < stepped.history[-1]["valid_loss"] + 0.05


def test_a_solver_needs_a_phase_of_the_head_alone(fit: Callable[..., Any]) -> None:
    with pytest.raises(BadOption, match="linear_probe or lp_ft"):
        fit(strategy="full", solver="ridge")
    with pytest.raises(BadPlan, match="linear head"):
        fit(solver="ridge", head="mlp")
    with pytest.raises(BadOption, match="ridge, lbfgs"):
        fit(solver="newton")


def test_a_resumed_run_keeps_its_engine(fit: Callable[..., Any], tmp_path: Path) -> None:
    from tunesmith.verbs.replaying import _choice_of

    run, _, ran = fit(engine="auto")
    assert _choice_of(run.folder) == {"engine": ran["engine"], "precision": "fp32"}
    assert _choice_of(None) == {}
    assert _choice_of(tmp_path) == {}


def test_an_engine_that_is_not_there_is_named_with_its_cure(
    photos: Path, tunesmith: Callable[..., Answer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setenv("TUNESMITH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setitem(sys.modules, "openvino", None)
    told = tunesmith("fit", photos, *PROBE, "--engine", "openvino", "--out", tmp_path / "run")
    assert told.code == 2
    assert "tunesmith[openvino]" in told.err
    assert not (tmp_path / "run").exists()
    told = tunesmith("fit", photos, *PROBE, "--engine", "openvin", "--out", tmp_path / "run")
    assert told.code == 2
    assert "did you mean 'openvino'" in told.err


def test_a_size_that_is_none_is_refused(fit: Callable[..., Any]) -> None:
    with pytest.raises(BadOption, match="500MB or 20GB"):
        fit(store_limit="much")


class Mixing(nn.Module):
    """Takes the mean of the batch off each example: no record of one example can be right."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 8, 3, stride=2), nn.Conv2d(8, 8, 3, stride=2)
        self.head = nn.Linear(8, 3)

    def forward(self, images: Tensor) -> Tensor:
        maps = torch.relu(self.a(images))
        features = self.b(maps - maps.mean(0, keepdim=True)).mean((2, 3))
        return self.head(features)  # type: ignore[no-any-return]


class Drawing(Mixing):
    """Adds noise to its activations, in eval mode too."""

    def forward(self, images: Tensor) -> Tensor:
        maps = self.b(torch.relu(self.a(images)))
        return self.head((maps + torch.randn_like(maps)).mean((2, 3)))  # type: ignore[no-any-return]


@pytest.mark.parametrize("kind", [Mixing, Drawing])
def test_a_network_whose_activations_depend_on_chance_or_company_runs_live(
    fit: Callable[..., Any], kind: type[nn.Module], seed: int
) -> None:
    torch.manual_seed(seed)
    network = ts.network(kind(), example=torch.randn(1, 3, 32, 32), head="head")
    _, said, ran = fit(model=network, image_size=None, engine="auto")
    assert "All stages run live" in said.text
    assert ran["share"] == 0
    with pytest.raises(EngineFailed):
        fit(model=network, image_size=None, engine="eager")


def test_a_photo_that_was_read_before_is_not_read_again_to_see_whether_it_can_be(
    fit: Callable[..., Any], photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    from tunesmith.data.images import decode

    looked: list[str] = []

    def noting(item: Any, **options: Any) -> Any:
        looked.append(item["path"])
        return decode(item, **options)

    monkeypatch.setattr("tunesmith.health.looks.decode", noting)
    fit()
    assert len(looked) == 48
    fit()
    assert len(looked) == 48
    more = tmp_path / "more"
    shutil.copytree(photos, more)
    (more / "red" / "00.png").write_bytes((more / "red" / "00.png").read_bytes()[:200])
    from tunesmith.errors import BadData

    with pytest.raises(BadData, match=r"00\.png"):
        fit(str(more))
    assert len(looked) == 49
