"""`tunesmith rank`: candidates that load are ranked, the others are named, a fit computes nothing again."""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import tunesmith as ts
from tunesmith.choosing.ranking import Failed, Ranking
from tunesmith.errors import BadOption
from tunesmith.verbs.candidates import candidates
from tunesmith.verbs.probing import probe_rows
from tunesmith.verbs.reporting import Silent

Tunesmith = Callable[..., Any]
TINY = ("timm/test_resnet@none", "timm/test_efficientnet@none")
OPTIONS = ("--models", ",".join(TINY), "--image-size", "32", "--device", "cpu")


@pytest.fixture(autouse=True, scope="module")
def _ranked_here_alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Rankings are kept, and fits of other tests would compare their networks with those that lead here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TUNESMITH_CACHE", str(tmp_path_factory.mktemp("ranked")))
        yield


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TUNESMITH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_a_table_names_the_best_and_says_by_what(tunesmith: Tunesmith, photos: Path) -> None:
    answer = tunesmith("rank", photos, *OPTIONS)
    assert answer.code == 0, answer.err
    assert answer.out.splitlines()[0].split()[0] == "network"
    for model in TINY:
        assert model in answer.out
    assert re.search(r"^best: timm/test_\w+@none, with a chance of \d+%$", answer.out, re.MULTILINE)
    assert "by 34 of 34 training examples in 3 classes" in answer.out
    assert "Traceback" not in answer.out + answer.err


def test_a_second_ranking_computes_nothing_and_says_the_same(
    tunesmith: Tunesmith, photos: Path, own_cache: Path
) -> None:
    first, second = (tunesmith("rank", photos, *OPTIONS, "--json") for _ in range(2))
    assert first.out == second.out
    assert json.loads(first.out)["examples"] == 34
    assert "features by" in tunesmith("rank", photos, *OPTIONS, "--image-size", "40").err
    assert "features by" not in tunesmith("rank", photos, *OPTIONS).err


def test_a_fit_finds_the_features_of_the_ranking(
    tunesmith: Tunesmith, photos: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tunesmith.training.replaying.MACS_A_SECOND", 1.0)  # work that is worth storing
    fit = ("fit", photos, "--model", TINY[0], "--image-size", "32", "--device", "cpu", "--dry-run")
    probe = ("--strategy", "linear_probe")
    assert "; 0 of 48 are there" in tunesmith(*fit, *probe).err
    tunesmith("rank", photos, *OPTIONS)
    assert "; 34 of 48 are there" in tunesmith(*fit, *probe).err


def test_what_cannot_be_loaded_is_listed_and_the_ranking_goes_on(tunesmith: Tunesmith, photos: Path) -> None:
    named = f"timm/no_such_net,{TINY[0]},timm/resnet18.a1_in1k,nowhere.safetensors"
    answer = tunesmith("rank", photos, "--models", named, "--image-size", "32", "--json")
    assert answer.code == 0
    found = json.loads(answer.out)
    assert [row["model"] for row in found["rows"]] == [TINY[0]]
    reasons = {row["model"]: row["reason"] for row in found["failed"]}
    assert "timm has no model 'no_such_net'" in reasons["timm/no_such_net"]
    assert "not on this machine" in reasons["timm/resnet18.a1_in1k"]
    assert "does not exist" in reasons["nowhere.safetensors"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("nowhere", *OPTIONS), "nowhere"),
        (("PHOTOS", "--models", "timm/no_such_net"), "no candidate could be ranked (timm/no_such_net: "),
        (("PHOTOS", "--models", ","), "models names the candidates"),
        (("PHOTOS", "--models", "local"), "no network for image-classification is on this machine"),
        (("PHOTOS", *OPTIONS, "--examples", "5"), "examples is a whole number from 20"),
        (("PHOTOS", *OPTIONS, "--time-limit", "soon"), "a duration is written 90s"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_exit_code_2(
    tunesmith: Tunesmith, photos: Path, words: tuple[str, ...], said: str
) -> None:
    answer = tunesmith("rank", *(photos if word == "PHOTOS" else word for word in words))
    assert answer.code == 2
    assert said in answer.err
    assert "Traceback" not in answer.err


def test_a_time_limit_below_one_pass_is_an_error_that_says_so(tunesmith: Tunesmith, photos: Path) -> None:
    answer = tunesmith("rank", photos, *OPTIONS, "--time-limit", "0.001")
    assert answer.code == 2
    assert "does not suffice for one candidate (the time limit had passed)" in answer.err


def test_a_time_limit_leaves_those_that_were_seen(
    photos: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock jumps past the limit once the first candidate was seen."""
    import tunesmith.verbs.probing as probing

    jump = [0.0]
    real_seen, real_clock = probing.seen, time.monotonic

    def seen(*args: Any, **options: Any) -> Any:
        found = real_seen(*args, **options)
        jump[0] = 1e6
        return found

    monkeypatch.setattr(probing, "seen", seen)
    monkeypatch.setattr("time.monotonic", lambda: real_clock() + jump[0])
    ranking = ts.rank(photos, models=TINY, image_size=32, time_limit="1h", reporter=Silent())
    assert [row.model for row in ranking.rows] == [TINY[0]]
    assert [(f.model, f.reason) for f in ranking.failed] == [(TINY[1], "the time limit had passed")]


def test_a_pilot_foretells_what_would_take_too_long(
    photos: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tunesmith.training.recorded import Recorded

    fill, clock, passed = Recorded.fill, time.monotonic, [0.0]

    def slow(self: Any, examples: Any, rows: Any = None, **options: Any) -> None:
        fill(self, examples, rows, **options)
        passed[0] += 1000.0

    monkeypatch.setattr(Recorded, "fill", slow)
    monkeypatch.setattr("time.monotonic", lambda: clock() + passed[0])
    monkeypatch.setattr("tunesmith.verbs.probing.PILOT", 16)
    with pytest.raises(
        BadOption, match=r"time limit of 33m20s .*features of 18 more examples would take about"
    ):
        ts.rank(photos, models=TINY[0], image_size=32, time_limit=2000.0, reporter=Silent())


def network(seed: int, *, broken: bool = False) -> ts.Network:
    torch.manual_seed(seed)
    module = nn.Sequential(
        nn.Sequential(nn.Conv2d(3, 8, 3, 2), nn.BatchNorm2d(8), nn.ReLU()),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 10),
    )
    if broken:
        with torch.no_grad():
            module[0][0].weight[0, 0, 0, 0] = torch.nan  # type: ignore[index]
    return ts.network(module, example=torch.zeros(1, 3, 32, 32))


def test_networks_of_ones_own_are_ranked_and_left_as_they_were(photos: Path) -> None:
    mine = network(0)
    before = mine.module.state_dict()["3.weight"].clone()
    ranking = ts.rank(photos, models=[mine, TINY[0]], reporter=Silent(), image_size=32)
    assert {row.model for row in ranking.rows} == {mine.origin, TINY[0]}
    assert torch.equal(mine.module.state_dict()["3.weight"], before)
    row = next(row for row in ranking.rows if row.model == mine.origin)
    assert row.scores["leep"] is not None  # its own head counts as a source head
    assert row.nearness is not None
    assert row.nearness.statistic == "shift"
    other = next(row for row in ranking.rows if row.model == TINY[0])
    assert other.scores["leep"] is None  # random weights have no source


def test_features_that_are_not_finite_put_a_candidate_out(photos: Path) -> None:
    ranking = ts.rank(photos, models=[network(1, broken=True), TINY[0]], reporter=Silent(), image_size=32)
    assert [row.model for row in ranking.rows] == [TINY[0]]
    assert "not finite" in ranking.failed[0].reason


def test_texts_are_ranked_too(reviews: Path, tiny_text: Callable[[str], Path]) -> None:
    names = [f"hf/{tiny_text('bert')}", f"hf/{tiny_text('distilbert')}?pooling=mean"]
    ranking = ts.rank(reviews, models=names, reporter=Silent())
    assert sorted(row.model for row in ranking.rows) == sorted(names)
    assert all(row.nearness is None for row in ranking.rows)


def test_a_class_of_few_examples_is_warned_of(tunesmith: Tunesmith, photos: Path, tmp_path: Path) -> None:
    few = shutil.copytree(photos, tmp_path / "few")
    for path in sorted((few / "red").iterdir())[4:]:
        path.unlink()
    answer = tunesmith("rank", few, *OPTIONS)
    assert answer.code == 0
    assert "fewer than 5 training examples of red" in answer.err


def test_copies_of_an_example_do_not_vouch_for_it(photos: Path, tmp_path: Path) -> None:
    """Photos of noise under random labels, each there three times: nothing can be known of them."""
    from PIL import Image

    random = np.random.default_rng(0)
    for i in range(40):
        pixels = random.integers(0, 255, (32, 32, 3), dtype=np.uint8)
        for copy in range(3):
            path = tmp_path / "noise" / ("a", "b")[i % 2] / f"{i}-{copy}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)
    ranking: Ranking = ts.rank(tmp_path / "noise", models=TINY[0], image_size=32, reporter=Silent())
    assert ranking.best.accuracy.value < 0.75


def test_a_short_run_decides_between_finalists(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tunesmith.choosing import which_network

    monkeypatch.setattr(which_network, "SURE", 1.1)  # chance never suffices: both are finalists
    ranking = ts.rank(photos, models=TINY, image_size=32, finals=True, reporter=Silent())
    reached = [row.finals for row in ranking.rows]
    assert None not in reached
    assert reached == sorted(reached, reverse=True)  # type: ignore[type-var]
    assert "short real runs, on validation" in str(ranking)


def test_a_fit_with_model_auto_takes_the_first_of_a_ranking(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tunesmith.verbs.candidates._local", lambda _: list(TINY))
    options: dict[str, Any] = {"image_size": 32, "device": "cpu", "reporter": Silent()}
    first = ts.rank(photos, **options).best.model
    run = ts.fit(photos, model="auto", strategy="linear_probe", epochs=1, out=tmp_path / "run", **options)
    assert run is not None
    assert run.asked["model"] == first


def test_a_fit_without_a_model_chooses_among_what_is_at_hand(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tunesmith.verbs.candidates._local", lambda _: list(TINY))
    monkeypatch.setattr("tunesmith.verbs.candidates._online", lambda: False)
    options: dict[str, Any] = {"image_size": 32, "device": "cpu", "reporter": Silent()}
    first = ts.rank(photos, models="local", **options).best.model
    run = ts.fit(photos, strategy="linear_probe", epochs=1, out=tmp_path / "run", **options)
    assert run is not None
    assert run.asked["model"] == first
    assert any(note.startswith(f"network: {first}, the first of {len(TINY)}") for note in run.plan.notes)
    assert json.loads((run.folder / "ranking.json").read_text())["rows"][0]["model"] == first


def test_at_hand_are_the_usual_network_and_the_smallest_others(monkeypatch: pytest.MonkeyPatch) -> None:
    from tunesmith.verbs.candidates import at_hand

    here = [f"timm/n{i}" for i in range(9)]
    monkeypatch.setattr("tunesmith.verbs.candidates._local", lambda _: here)
    monkeypatch.setattr("tunesmith.verbs.candidates._online", lambda: False)
    assert at_hand("image-classification", default="timm/n7") == ["timm/n7", *here[:5]]
    assert at_hand("image-classification", default="timm/usual") == here[:6]  # it is not to be had
    monkeypatch.setattr("tunesmith.verbs.candidates._online", lambda: True)
    assert at_hand("image-classification", default="timm/usual") == ["timm/usual", *here[:5]]
    monkeypatch.setattr("tunesmith.verbs.candidates._local", lambda _: [])
    monkeypatch.setattr("tunesmith.verbs.candidates._online", lambda: False)
    assert at_hand("image-classification", default="timm/usual") == ["timm/usual"]


def test_what_no_network_could_do_is_said_before_a_ranking(photos: Path) -> None:
    with pytest.raises(BadOption, match="measures the rate of a plan that is known"):
        ts.fit(photos, model="auto", strategy="auto", lr="auto", reporter=Silent())


def test_a_network_that_cannot_be_ranked_is_named_once(tmp_path: Path) -> None:
    path = f"{tmp_path}/mine.safetensors"
    assert Failed(path, f"{path} is empty.").sentence == f"not ranked: {path} is empty."
    assert Failed(path, "the time limit had passed").sentence == "not ranked: mine: the time limit had passed"


def test_local_networks_are_the_headed_files_of_the_named_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import timm
    from safetensors.torch import save_file

    monkeypatch.setenv("TUNESMITH_MODELS", str(tmp_path))
    header = {"model": "timm/test_resnet", "num_classes": "1000"}
    save_file(timm.create_model("test_resnet").state_dict(), tmp_path / "mine.safetensors", header)
    assert candidates("local", "image-classification", default="x") == [str(tmp_path / "mine.safetensors")]
    assert candidates(None, "image-classification", default="x") == [str(tmp_path / "mine.safetensors")]
    monkeypatch.setattr("tunesmith.verbs.candidates._online", lambda: True)
    online = candidates(None, "image-classification", default="timm/x")
    assert online[:2] == [str(tmp_path / "mine.safetensors"), "timm/x"]
    assert len(online) > 3


def test_a_probe_set_gives_each_class_its_share_and_five_at_least() -> None:
    targets = np.repeat([0, 1, 2], [9000, 900, 12])
    counts = np.bincount(targets[probe_rows(targets, 1000)])
    assert counts.tolist() == [908, 91, 5]
    assert np.array_equal(probe_rows(targets, 1000), probe_rows(targets, 1000))
    assert len(probe_rows(targets[:50], 1000)) == 50
