"""Fits in which something is planted to go wrong: it is named, and not where nothing was planted."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from torch import Tensor, nn

import tunesmith as ts
from tunesmith.errors import BadOption
from tunesmith.sources.module import with_head
from tunesmith.verbs.reporting import Silent, outcome

NAMES = ("across", "down", "rising", "falling")
SIDE = 16


def pictures(count: int, seed: int, *, noise: float = 85.0) -> tuple[Any, Any]:
    """uint8 [N, 16, 16, 3] of stripes under noise, and which way they run, int [N]."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:SIDE, :SIDE]
    way = random.integers(0, 4, count)
    place = np.stack([y, x, (x + y) / np.sqrt(2), (x - y) / np.sqrt(2)])[way]
    wave = random.uniform(4.0, 6.0, count)[:, None, None]
    shift = random.uniform(0, 2 * np.pi, count)[:, None, None]
    grey = 128 + 50 * np.sin(2 * np.pi * place / wave + shift)
    found = grey[..., None] + random.normal(0, noise, (count, SIDE, SIDE, 3))
    return np.clip(found, 0, 255).astype(np.uint8), way


def columns(train: int, valid: int, test: int, seed: int, *, noise: float = 85.0) -> dict[str, list[Any]]:
    """A data set in memory, its splits named."""
    from PIL import Image

    images, way = pictures(train + valid + test, seed, noise=noise)
    splits = ["train"] * train + ["valid"] * valid + ["test"] * test
    return {
        "item": [Image.fromarray(image) for image in images],
        "label": [NAMES[k] for k in way],
        "split": splits,
    }


class Small(nn.Module):
    """Three convolutions, the mean over places, and a linear head."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 24, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
        self.second = nn.Sequential(nn.Conv2d(24, 24, 3, padding=1), nn.ReLU())
        self.third = nn.Sequential(nn.Conv2d(24, 96, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1))
        self.head = nn.Linear(96, 4)

    def forward(self, x: Tensor) -> Tensor:
        """Images [B, 3, 16, 16] to logits [B, 4]."""
        out: Tensor = self.head(self.third(self.second(self.first(x))).flatten(1))
        return out


def ready(images: Any) -> Tensor:
    """As a network takes them: ImageNet's normalisation, near enough."""
    return (torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255 - 0.45) / 0.225


def random_small(seed: int = 3) -> Small:
    """A network that has seen nothing."""
    torch.manual_seed(seed)
    return Small()


def pretrained_small(seed: int = 0, *, steps: int = 200, noise: float = 85.0) -> Small:
    """A network that has learned the four directions on other pictures of the kind."""
    network = random_small(seed)
    images, way = pictures(64 * steps, 1000 + seed, noise=noise)
    inputs, targets = ready(images), torch.from_numpy(way)
    optimizer = torch.optim.Adam(network.parameters(), 2e-3)
    for batch in torch.split(torch.arange(len(inputs)), 64):
        loss = nn.functional.cross_entropy(network(inputs[batch]), targets[batch])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return network.eval()


def misled_small(seed: int = 0, *, steps: int = 80) -> Small:
    """A network that was trained on pictures with permuted pixels, to tell bright from dark.

    Directions are of no use to it, and what it does not use shrinks: its features say less of them than
    random ones.
    """
    network = random_small(seed)
    images, _ = pictures(64 * steps, 2000 + seed)
    random = np.random.default_rng(seed)
    images = random.permuted(images.reshape(len(images), -1, 3), axis=1).reshape(images.shape)
    bright = random.uniform(0.3, 1.0, len(images))
    inputs = ready((images * bright[:, None, None, None]).astype(np.uint8))
    targets = torch.from_numpy((bright * 3.99 / 1.0).astype(np.int64))
    optimizer = torch.optim.Adam(network.parameters(), 1e-2)
    for batch in torch.split(torch.arange(len(inputs)), 64):
        loss = nn.functional.cross_entropy(network(inputs[batch]), targets[batch])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        with torch.no_grad():
            for name, weight in network.named_parameters():
                if name.startswith(("first", "second", "third")) and name.endswith("weight"):
                    weight.mul_(0.9)
    return network.eval()


def fitted(data: Any, network: Small, out: Path, **options: Any) -> ts.Run:
    """A run of a second or two on a network of one's own."""
    usual: dict[str, Any] = {"strategy": "full", "epochs": 2, "lr": 1e-4, "head_lr": 1e-3, "batch": 32}
    own = ts.network(network, example=torch.zeros(1, 3, SIDE, SIDE))
    usual |= {"engine": "eager", "device": "cpu", "reporter": Silent(), "out": out}
    run = ts.fit(data, model=own, **{**usual, **options})
    assert run is not None
    return run


def alarms(run: ts.Run) -> list[str]:
    return [alarm["kind"] for alarm in run.scores["alarms"]]


@pytest.fixture(scope="module")
def data() -> dict[str, list[Any]]:
    return columns(400, 200, 600, seed=1)


@pytest.fixture(scope="module")
def knowing() -> Callable[[], Small]:
    """The network that has learned the four directions; a copy for each fit, which trains it in place."""
    network = pretrained_small()
    return lambda: copy.deepcopy(network)


@pytest.fixture(scope="module")
def healthy(
    data: dict[str, list[Any]], knowing: Callable[[], Small], tmp_path_factory: pytest.TempPathFactory
) -> ts.Run:
    """The control of every planted case: pretrained for the kind, trained with care."""
    careful: dict[str, Any] = {"strategy": "lp_ft", "solver": "ridge", "baselines": "all"}
    return fitted(data, knowing(), tmp_path_factory.mktemp("healthy") / "run", **careful)


def test_a_healthy_run_raises_no_alarm_and_says_what_it_was_compared_with(healthy: ts.Run) -> None:
    scores = healthy.scores
    assert alarms(healthy) == []
    assert set(scores["baselines"]) >= {"majority class", "colour histogram", "random twin", "from scratch"}
    assert scores["twin"] == {"learned_from": 400, "tested_on": 600}
    assert scores["not_compared"] == []
    pretrained, random = (scores["baselines"][name] for name in ("linear probe", "random twin"))
    assert pretrained["metrics"]["accuracy"]["low"] > random["metrics"]["accuracy"]["high"]


def test_random_weights_gain_nothing_over_their_twin(tmp_path: Path) -> None:
    """Two draws of a network this small differ; the seeds are those of two that are about as good."""
    data, alone = columns(400, 100, 800, seed=3, noise=130), {"strategy": "linear_probe", "epochs": 1}
    run = fitted(data, random_small(5), tmp_path / "run", seed=6, baselines="all", **alone)
    assert alarms(run) == ["no_gain"]
    (alarm,) = run.scores["alarms"]
    assert alarm["sentence"].startswith("no gain over the random twin")
    assert alarm["sentence"] in outcome(run)


def test_a_network_that_was_misled_is_named_as_negative_transfer(
    data: dict[str, list[Any]], tmp_path: Path
) -> None:
    run = fitted(data, misled_small(), tmp_path / "run", strategy="linear_probe", baselines="all")
    assert "below_twin" in alarms(run)
    assert "no_gain" not in alarms(run)


@pytest.fixture(scope="module")
def destroyed(
    data: dict[str, list[Any]], knowing: Callable[[], Small], tmp_path_factory: pytest.TempPathFactory
) -> ts.Run:
    """A run whose learning rate is a thousand times too high."""
    out = tmp_path_factory.mktemp("destroyed") / "run"
    return fitted(data, knowing(), out, epochs=1, lr=0.1, head_lr=0.1, clip=0)


def test_a_destructive_learning_rate_is_named_and_the_probe_is_kept(destroyed: ts.Run) -> None:
    scores = destroyed.scores
    assert alarms(destroyed)[0] == "below_probe"
    assert scores["kept"]["what"] == "linear probe"
    assert scores["kept"]["phase"] is None
    assert scores["difference"]["baseline"] == "fine-tuned network"
    assert scores["difference"]["low"] > 0
    assert destroyed.verdict.endswith(", better.")
    assert scores["kept"]["sentence"] in outcome(destroyed)


def test_the_kept_probe_is_a_run_like_any_other(
    destroyed: ts.Run, data: dict[str, list[Any]], knowing: Callable[[], Small]
) -> None:
    opened = ts.Run.open(destroyed.folder, module=Small())
    test = {name: values[-600:] for name, values in data.items() if name != "split"}
    assert opened.evaluate(test)["accuracy"].value == destroyed.scores["test"]["metrics"]["accuracy"]["value"]
    probe = destroyed.scores["baselines"]["linear probe"]["metrics"]["accuracy"]["value"]
    assert destroyed.scores["test"]["metrics"]["accuracy"]["value"] == pytest.approx(probe, abs=0.005)
    before, after = knowing().state_dict(), opened.model[0].module.state_dict()
    assert all(torch.equal(before[n], after[n]) for n in before if not n.startswith("head"))
    assert not torch.equal(before["head.weight"], after["head.weight"])
    assert all(moved["distance"] == 0 for moved in destroyed.facts["moved"])


def test_its_report_says_what_was_kept_and_what_went_wrong(destroyed: ts.Run, data: Any) -> None:
    for lang, kept, alarm in (
        ("en", "What is kept is a linear probe", "Training did damage"),
        ("zh", "保留的是不改动网络本身的线性探针", "训练造成了损害"),
    ):
        page = destroyed.report(lang=lang, out=destroyed.folder.parent / f"{lang}.html").read_text("utf-8")
        assert kept in page
        assert alarm in page


def test_what_was_trained_can_be_kept_all_the_same(
    data: dict[str, list[Any]], knowing: Callable[[], Small], tmp_path: Path
) -> None:
    run = fitted(
        data,
        knowing(),
        tmp_path / "run",
        epochs=1,
        lr=0.1,
        head_lr=0.1,
        clip=0,
        keep="trained",
        baselines="none",
    )
    assert run.scores["kept"]["what"] == "fine-tuned network"
    assert alarms(run)[0] == "below_probe"
    assert set(run.scores["baselines"]) == {"majority class", "linear probe"}
    assert run.verdict.endswith(", worse.")


def test_a_class_that_training_forgets_is_named(
    data: dict[str, list[Any]], knowing: Callable[[], Small], tmp_path: Path
) -> None:
    """Examples of one class count nothing in training, so the network learns to say the others."""
    weights = [0.0 if label == "rising" else 1.0 for label in data["label"]]
    run = fitted(
        {**data, "weight": weights},
        knowing(),
        tmp_path / "run",
        weight="weight",
        lr=1e-3,
        head_lr=1e-2,
        epochs=3,
    )
    assert "harmed_classes" in alarms(run)
    told = next(alarm["told"] for alarm in run.scores["alarms"] if alarm["kind"] == "harmed_classes")
    assert list(told["classes"]) == ["rising"]


def test_a_network_between_is_what_its_coefficient_says(
    data: dict[str, list[Any]], knowing: Callable[[], Small], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever validation finds, the interpolation at a third is put into the network here."""
    from tunesmith.verbs import keeping
    from tunesmith.verdicts.keeping import Decision

    both: dict[str, dict[str, torch.Tensor]] = {}

    def third(task: Any, candidates: Any, *args: Any) -> Decision:
        assert [one.coefficient for one in candidates] == [None, None, 0.33, 0.67, None]
        return Decision("interpolation", 0.33, "kept: the interpolation at 0.33, because it is tested.", {})

    def mixed(before: Any, after: Any, share: float) -> Any:
        both["before"], both["after"] = before, after
        return real(before, after, share)

    real = keeping._mixed
    monkeypatch.setattr(keeping, "decide", third)
    monkeypatch.setattr(keeping, "_mixed", mixed)
    run = fitted(data, knowing(), tmp_path / "run", epochs=1, lr=1e-3, baselines="none")
    own = run.model[0].module.state_dict()
    for name, tensor in own.items():
        assert torch.allclose(tensor, 0.67 * both["before"][name] + 0.33 * both["after"][name], atol=1e-6)
    assert not torch.equal(own["first.0.weight"], both["after"]["first.0.weight"])
    assert run.scores["kept"]["coefficient"] == 0.33
    assert run.scores["kept"]["epoch"] == 1
    assert "fine-tuned network" in run.scores["baselines"]


def test_a_network_trained_half_as_deep_has_its_lower_stages_as_pretrained(
    data: dict[str, list[Any]], knowing: Callable[[], Small], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever validation finds, the shallower network is kept here; three stages moved, and two stay so."""
    from tunesmith.verbs import keeping
    from tunesmith.verdicts.keeping import SHALLOWER, Decision

    answers: dict[str, list[Any]] = {}

    def shallower(task: Any, candidates: Any, *args: Any) -> Decision:
        answers.update({one.name: one.answers for one in candidates})
        return Decision(SHALLOWER, None, "kept: the network trained half as deep.", {})

    monkeypatch.setattr(keeping, "decide", shallower)
    run = fitted(data, knowing(), tmp_path / "run", epochs=1, lr=1e-3, baselines="none")
    before, after = knowing().state_dict(), run.model[0].module.state_dict()
    stages = [moved["stage"] for moved in run.facts["moved"]]
    same = [all(torch.equal(before[n], after[n]) for n in before if n.startswith(s)) for s in stages]
    assert same == [True, False, False]
    rows = pq.read_table(run.folder / "predictions-valid.parquet").to_pylist()
    said = np.asarray([[row[f"p({label})"] for label in run.model[2].names] for row in rows])
    assert np.allclose(said, np.stack(answers[SHALLOWER]), atol=1e-6)
    assert not np.allclose(said, np.stack(answers["fine-tuned network"]), atol=1e-4)
    assert "lower half of the stages" in run.report(out=tmp_path / "page.html").read_text(encoding="utf-8")


def test_a_better_start_is_named_and_a_worse_one_is_not(
    data: dict[str, list[Any]], knowing: Callable[[], Small], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network that knows the directions beside one that does not, and the other way round."""
    from tunesmith.verbs import baselines

    def beside(network: Small, other: Small, out: str) -> ts.Run:
        own = ts.network(other, example=torch.zeros(1, 3, SIDE, SIDE))
        monkeypatch.setattr(baselines, "load_network", lambda name, want: with_head(own, want))
        options: dict[str, Any] = {"strategy": "linear_probe", "beside": "timm/test_resnet@none"}
        return fitted(data, network, tmp_path / out, baselines="none", **options)

    run = beside(random_small(), knowing(), "run")
    assert alarms(run) == ["better_start"]
    assert "linear probe of timm/test_resnet@none" in run.scores["baselines"]
    assert alarms(beside(knowing(), random_small(), "other")) == []


def test_a_ranking_of_the_same_data_says_whom_to_compare_with(
    data: dict[str, list[Any]], knowing: Callable[[], Small], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tunesmith.verbs import baselines

    monkeypatch.setenv("TUNESMITH_CACHE", str(tmp_path / "cache"))
    knows, random = (
        ts.network(own, example=torch.zeros(1, 3, SIDE, SIDE)) for own in (knowing(), random_small())
    )
    monkeypatch.setattr(baselines, "load_network", lambda name, want: with_head(knows, want))
    options: dict[str, Any] = {"strategy": "linear_probe", "epochs": 1}
    before = fitted(data, random_small(), tmp_path / "before", **options)
    assert "better_start" not in alarms(before)
    ts.rank(data, models=[knows, random], engine="eager", device="cpu", reporter=Silent())
    run = fitted(data, random_small(), tmp_path / "run", **options)
    assert "better_start" in alarms(run)
    assert run.scores["passes"]["added"] == before.scores["passes"]["added"] + 600
    better = fitted(data, knowing(), tmp_path / "better", **options)
    assert not any(name.startswith("linear probe of") for name in better.scores["baselines"])
    alone = fitted(data, random_small(), tmp_path / "alone", **options, baselines="none")
    assert "better_start" not in alarms(alone)


def test_a_head_of_two_layers_has_no_probe_in_its_place(
    data: dict[str, list[Any]], knowing: Callable[[], Small], tmp_path: Path
) -> None:
    run = fitted(data, knowing(), tmp_path / "run", head="mlp", epochs=1, baselines="none")
    assert run.scores["kept"]["what"] == "fine-tuned network"
    assert "not one linear layer" in run.scores["kept"]["sentence"]
    with pytest.raises(BadOption, match="keep 'probe' puts a linear head"):
        fitted(data, knowing(), tmp_path / "no", head="mlp", keep="probe")


@pytest.mark.parametrize(("option", "word"), [("keep", "best"), ("baselines", "al"), ("keep", "probes")])
def test_a_word_that_is_none_of_the_choices_is_refused(
    data: dict[str, list[Any]], tmp_path: Path, option: str, word: str
) -> None:
    with pytest.raises(BadOption, match=f"{option} must be one of"):
        fitted(data, random_small(), tmp_path / "run", **{option: word})


def test_a_network_that_cannot_be_copied_goes_without_a_twin(
    data: dict[str, list[Any]], knowing: Callable[[], Small], tmp_path: Path
) -> None:
    class Unique(Small):
        def __deepcopy__(self, memo: Any) -> Any:
            raise RuntimeError("there is only one of me")

    one = Unique()
    one.load_state_dict(knowing().state_dict())
    run = fitted(data, one, tmp_path / "run", strategy="linear_probe")
    assert "random twin" not in run.scores["baselines"]
    assert "there is only one of me" in run.scores["not_compared"][0]


def test_the_same_command_keeps_and_says_the_same(
    data: dict[str, list[Any]], knowing: Callable[[], Small], tmp_path: Path
) -> None:
    first, second = (fitted(data, knowing(), tmp_path / str(i), lr=1e-3) for i in range(2))
    assert first.scores == second.scores


def test_the_twin_sees_no_more_than_its_share(photos: Path, tmp_path: Path) -> None:
    """900 examples: the head alone needs 900 passes, of which 15 % are fewer than the least, 150."""
    run = fitted(columns(630, 135, 135, seed=2), random_small(), tmp_path / "run", strategy="linear_probe")
    assert run.scores["twin"] == {"learned_from": 90, "tested_on": 60}
    assert run.scores["passes"]["needed"] == pytest.approx(900, abs=20)  # and the head's own, in two epochs
    assert run.scores["passes"]["added"] == 150


def test_a_verdict_adds_at_most_15_percent_to_the_passes_of_a_fit(
    knowing: Callable[[], Small], tmp_path: Path
) -> None:
    """3,000 examples of which two epochs train whole: 3,000 + 2 x (3 x 2,100 + 450) = 16,500 passes.

    Of 2,475 that may be added, validation takes 3 x 450 for networks between, and the test 450 for one.
    """
    run = fitted(columns(2100, 450, 450, seed=4), knowing(), tmp_path / "run")
    assert run.scores["passes"] == {"needed": 16_500, "added": 2_475}
    assert run.scores["twin"] == {"learned_from": 405, "tested_on": 270}
