"""What a page says is gathered from the run's folder; what is gone is named as missing, with the reason."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import tunesmith as ts
from tunesmith.data.images import decode
from tunesmith.reports.advice_words import MISSING
from tunesmith.reports.asked import odds_of
from tunesmith.reports.chosen import most_confident_mistakes
from tunesmith.reports.content import Content
from tunesmith.reports.predictions import read_predictions
from tunesmith.reports.showing import Showing
from tunesmith.seals import seal
from tunesmith.tasks import TASKS
from tunesmith.tasks.task import Labels, Task
from tunesmith.verbs.gathering import gather
from tunesmith.verbs.reporting import Silent


class Mine(nn.Module):
    """A person's own network."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(8, 8, 3, stride=2), nn.ReLU())
        self.head = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        """Images to logits."""
        return self.head(self.second(self.first(x)).mean((2, 3)))  # type: ignore[no-any-return]


def fitted(data: Any, out: Path, **options: Any) -> ts.Run:
    usual = {"model": "timm/test_resnet@none", "image_size": 32, "strategy": "full", "epochs": 1, "batch": 8}
    usual["keep"] = "trained"
    run = ts.fit(data, out=out, device="cpu", reporter=Silent(), **{**usual, **options})
    assert run is not None
    return run


@pytest.fixture(scope="module")
def weak(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> ts.Run:
    """A run that makes mistakes, on a copy of the photos that lies beside it."""
    place = tmp_path_factory.mktemp("weak")
    shutil.copytree(photos, place / "photos")
    return fitted(place / "photos", place / "run", lr=1e-5, test_size=0.4)


def learned(run: ts.Run) -> tuple[Task, Labels]:
    """The task of a run, and what it learned of its labels."""
    described = run.described
    return TASKS.load(described["task"])(), Labels.from_json(described["labels"])


@pytest.fixture(scope="module")
def content(weak: ts.Run) -> Content:
    return gather(ts.Run.open(weak.folder))


def test_figures_are_those_of_the_folder(weak: ts.Run, content: Content) -> None:
    assert content.scores == weak.scores
    assert content.test.value == weak.scores["test"]["metrics"]["accuracy"]["value"]
    assert content.gap.low == weak.scores["difference"]["low"]
    assert list(content.history) == weak.history
    assert content.plan == weak.plan
    assert len(content.parts) == content.plan.stages + 1
    assert content.replay == weak.replay
    assert content.seconds is not None
    assert content.seconds > weak.history[-1]["seconds"]
    assert content.created.startswith("20")


def test_counts_are_those_of_the_data(weak: ts.Run, content: Content) -> None:
    data = ts.read(weak.asked["data"], test_size=0.4)
    for name, row in content.own.counts.items():
        assert row == {split: data.splits[split]["label"][:].count(name) for split in data.splits}


def test_the_moved_stages_are_those_of_the_network(content: Content) -> None:
    assert [moved.stage for moved in content.moved] == list(content.parts[:-1])
    assert all(moved.trained and moved.distance > 0 for moved in content.moved)


def test_examples_show_every_class_evenly(content: Content) -> None:
    shown = [example.truth for example in content.examples]
    for name in content.labels:
        assert shown.count(name) == min(8, content.own.counts[name]["train"])
    assert all(example.picture and example.guess is None for example in content.examples)
    assert len({example.id for example in content.examples}) == len(shown)


def test_mistakes_are_wrong_and_the_most_confident_first(weak: ts.Run, content: Content) -> None:
    assert content.own.mistakes  # or nothing below is seen
    assert all(shown.guess != shown.truth for shown in content.own.mistakes)
    sure = [shown.probability or 0 for shown in content.own.mistakes]
    assert sure == sorted(sure, reverse=True)
    predictions = read_predictions(weak.folder, "test", *learned(weak))
    rows = most_confident_mistakes(np.stack(predictions.answers), np.asarray(predictions.targets), count=1000)
    assert len(rows) == round((1 - content.test.value) * len(predictions.ids))
    assert [shown.id for shown in content.own.mistakes] == [predictions.ids[row] for row in rows[:12]]


def test_a_mistake_shows_the_picture_that_it_names(weak: ts.Run, content: Content) -> None:
    shown = content.own.mistakes[0]
    assert shown.picture is not None
    there = decode({"path": str(Path(weak.asked["data"]) / shown.id), "bytes": None})
    seen = decode({"path": None, "bytes": shown.picture})
    assert seen.shape == there.shape
    assert abs(seen.mean((0, 1)) - there.mean((0, 1))).max() < 4
    assert any(s.heat and s.heat != s.picture for s in content.own.mistakes)


def test_only_what_was_not_kept_is_missing(content: Content) -> None:
    assert set(content.missing) <= {"health"}
    assert set(content.missing.values()) <= set(MISSING)


def test_gathering_twice_gives_the_same(weak: ts.Run, content: Content) -> None:
    assert gather(ts.Run.open(weak.folder)) == content


def elsewhere(run: ts.Run, place: Path) -> Path:
    return Path(shutil.copytree(run.folder, place / "run"))


def pointed(run: Path, data: Path) -> Path:
    """The run, its data said to be elsewhere."""
    import yaml

    asked = yaml.safe_load((run / "asked.yaml").read_text())
    (run / "asked.yaml").write_text(yaml.safe_dump({**asked, "data": str(data)}))
    seal(run)
    return run


def test_without_the_data_all_figures_are_there(weak: ts.Run, content: Content, tmp_path: Path) -> None:
    found = gather(ts.Run.open(pointed(elsewhere(weak, tmp_path), tmp_path / "gone")))
    assert found.missing["pictures"] == "data_gone"
    assert found.examples == ()
    assert [(s.id, s.guess, s.picture, s.heat) for s in found.own.mistakes] == [
        (s.id, s.guess, None, None) for s in content.own.mistakes
    ]
    assert (found.own.counts, found.own.calibration, found.moved) == (
        content.own.counts, content.own.calibration, content.moved,
    )  # fmt: skip


def test_data_that_changed_are_not_shown_as_those_of_the_run(weak: ts.Run, tmp_path: Path) -> None:
    changed = tmp_path / "photos"
    shutil.copytree(weak.asked["data"], changed)
    next(changed.rglob("*.png")).unlink()
    found = gather(ts.Run.open(pointed(elsewhere(weak, tmp_path), changed)))
    assert found.missing["pictures"] == "data_changed"
    assert found.examples == ()


def test_a_table_that_names_a_missing_image_was_said_to_be_gone(photos: Path, tmp_path: Path) -> None:
    rows = [f"{path},{path.parent.name}" for path in sorted(photos.rglob("*.png"))]
    table = tmp_path / "photos.csv"
    table.write_text("\n".join(["path,label", *rows, f"{tmp_path / 'none.png'},red"]) + "\n")
    found = gather(fitted(table, tmp_path / "run", skip_bad=True))
    assert "pictures" not in found.missing
    assert len(found.examples) == 24


def test_images_that_a_run_left_out_were_said_to_be_read_no_more(photos: Path, tmp_path: Path) -> None:
    some = Path(shutil.copytree(photos, tmp_path / "photos"))
    left_out = [some / name / "00.png" for name in ("red", "green", "blue")]
    for file in left_out:
        file.write_bytes(file.read_bytes()[:200])
    run = fitted(some, tmp_path / "run", skip_bad=True, lr=1e-5)
    found = gather(run)
    assert "pictures" not in found.missing
    assert len(found.examples) == 24
    assert all(shown.picture for shown in found.examples)


def test_a_network_was_blamed_for_pictures_that_are_gone(weak: ts.Run, tmp_path: Path) -> None:
    some = Path(shutil.copytree(weak.asked["data"], tmp_path / "photos"))
    for file in some.rglob("*.png"):
        file.write_bytes(b"x" * file.stat().st_size)  # the same sizes: nothing else of a file is compared
    found = gather(ts.Run.open(pointed(elsewhere(weak, tmp_path), some)))
    assert found.missing["pictures"] == "unreadable"
    assert "heat" not in found.missing
    assert found.own.mistakes


def test_a_preprocessing_of_ones_own_is_named_as_the_reason(photos: Path) -> None:
    data = ts.read(photos)
    own: Any = SimpleNamespace(preprocess=object())
    showing = Showing(data, own)
    shown = showing.answered(data.test["id"][0], "red", "blue", odds_of(0))
    assert shown.picture
    assert showing.unexplained == "own_preprocess"


def test_data_that_are_gone_are_in_no_command(weak: ts.Run, content: Content, tmp_path: Path) -> None:
    found = gather(ts.Run.open(pointed(elsewhere(weak, tmp_path), tmp_path / "gone")))
    assert not any(advice.values["command"] for advice in found.advice)
    assert any(advice.values["command"] for advice in content.advice)  # or nothing would be seen


def test_a_run_of_before_says_what_it_did_not_keep(weak: ts.Run, tmp_path: Path) -> None:
    run = elsewhere(weak, tmp_path)
    (run / "facts.json").unlink()
    (run / "predictions-valid.parquet").unlink()
    found = gather(ts.Run.open(run))
    assert (found.missing["moved"], found.missing["calibration"]) == ("not_kept", "not_kept")
    assert (found.own.calibration, found.moved, found.seconds) == (None, (), None)


def test_a_network_of_ones_own_needs_its_module_for_heat_alone(photos: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    own = ts.network(Mine(), example=torch.zeros(1, 3, 32, 32))
    run = fitted(photos, tmp_path / "run", model=own, image_size=None, lr=1e-5, test_size=0.4)
    found = gather(ts.Run.open(run.folder))
    assert found.missing["heat"] == "own_module"
    assert found.own.mistakes
    assert all(shown.picture and shown.heat is None for shown in found.own.mistakes)
    opened = gather(ts.Run.open(run.folder, module=Mine()))
    assert "heat" not in opened.missing
    assert any(shown.heat for shown in opened.own.mistakes)


def test_data_from_memory_are_shown_when_they_are_given_again(photos: Path, tmp_path: Path) -> None:
    pairs = [(path, path.parent.name) for path in sorted(photos.rglob("*.png"))]

    class Silenced(list[Any]):
        def __repr__(self) -> str:
            raise AssertionError("a million examples were rendered to see whether they are a path")

    run = fitted(pairs, tmp_path / "run")
    assert gather(run).missing["pictures"] == "data_in_memory"
    assert len(gather(run, data=Silenced(pairs)).examples) == 24
    assert gather(run, data=pairs[1:]).missing["pictures"] == "data_changed"


def test_texts_are_shown_with_what_speaks_for_the_guess(
    reviews: Path, tiny_text: Callable[[str], Path], tmp_path: Path
) -> None:
    run = fitted(
        reviews, tmp_path / "run", model=f"hf/{tiny_text('bert')}", image_size=None, lr=1e-5, test_size=0.4
    )
    found = gather(ts.Run.open(run.folder))
    test = ts.read(reviews, test_size=0.4).test
    texts = dict(zip(test["id"], test["item"], strict=True))
    assert found.own.mistakes
    for shown in found.own.mistakes:
        assert shown.text == texts[shown.id]
        assert shown.picture is None
        assert shown.tokens is not None
        assert "".join(piece for piece, _ in shown.tokens) == shown.text
    assert len(found.examples) == 24
    assert all(shown.text for shown in found.examples)


def test_damaged_predictions_are_refused(weak: ts.Run, tmp_path: Path) -> None:
    run = elsewhere(weak, tmp_path)
    (run / "predictions.parquet").write_bytes(b"PAR1 no more")
    with pytest.raises(ts.TunesmithError, match=r"predictions\.parquet was cut short or changed"):
        gather(ts.Run.open(run))


def test_an_unfinished_run_is_refused_with_the_way_on(weak: ts.Run, tmp_path: Path) -> None:
    run = elsewhere(weak, tmp_path)
    (run / "scores.json").unlink()
    with pytest.raises(ts.TunesmithError, match="tunesmith resume"):
        ts.report(run)


def test_what_is_kept_of_validation_gives_its_scores(weak: ts.Run) -> None:
    task, labels = learned(weak)
    outcomes = read_predictions(weak.folder, "valid", task, labels).outcomes(task)
    assert task.score(outcomes, labels)["accuracy"] == pytest.approx(
        json.loads((weak.folder / "scores.json").read_text())["valid"]["metrics"]["accuracy"]["value"]
    )
