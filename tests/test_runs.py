"""A run is a folder: whatever is reported can be read again, anywhere."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import tunesmith as ts
from tunesmith.errors import BadOption, BadRun, Diverged, MissingPackage
from tunesmith.verbs.reporting import Silent

FRESH = """
import json, sys
from tunesmith import Run
print(json.dumps(Run.open(sys.argv[1]).predict(sys.argv[2:], probabilities=True)))
"""


def fitted(data: Any, **options: Any) -> ts.Run:
    """A run of a second."""
    usual = {"model": "timm/test_resnet@none", "image_size": 32, "strategy": "full", "epochs": 1, "batch": 8}
    usual["keep"] = "trained"
    run = ts.fit(data, **{**usual, "device": "cpu", "reporter": Silent(), **options})
    assert run is not None
    return run


def elsewhere(run: Path, place: Path) -> Path:
    """The run, copied to another place."""
    return Path(shutil.copytree(run, place / "moved" / "run"))


def in_a_fresh_process(run: Path, items: list[str]) -> list[dict[str, Any]]:
    """What a process that knows nothing but the folder predicts."""
    answer = subprocess.run(
        [sys.executable, "-c", FRESH, str(run), *items],
        capture_output=True,
        text=True,
        cwd=run.parent,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
    )
    assert answer.returncode == 0, answer.stderr
    rows: list[dict[str, Any]] = json.loads(answer.stdout)
    return rows


class Mine(nn.Module):
    """A person's own network."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2), nn.BatchNorm2d(8), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(8, 8, 3, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(1))
        self.head = nn.Linear(8, 5)

    def forward(self, x: Any) -> Any:
        """Images to logits."""
        return self.head(self.second(self.first(x)).flatten(1))


def mine() -> ts.Network:
    """The person's network as one of ours."""
    import torch

    torch.manual_seed(0)
    return ts.network(Mine(), example=torch.zeros(1, 3, 32, 32))


@pytest.fixture
def pairs(photos: Path) -> list[tuple[Path, str]]:
    """The photos as a list of (path, label)."""
    return [(path, path.parent.name) for path in sorted(photos.rglob("*.png"))]


# From its folder alone


def test_a_moved_run_predicts_the_same_in_a_fresh_process(
    photo_run: Path, photos: Path, tmp_path: Path
) -> None:
    items = [str(p) for p in sorted(photos.rglob("*.png"))[::7]]
    here = ts.Run.open(photo_run).predict(items, probabilities=True)
    there = in_a_fresh_process(elsewhere(photo_run, tmp_path), items)
    assert there == here
    assert len({row["probability"] for row in here}) == len(here)  # or equality would say nothing


def test_a_moved_run_on_texts_needs_neither_hub_nor_the_pretrained_folder(
    reviews: Path, tiny_text: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = tiny_text("bert")
    run = fitted(reviews, model=f"hf/{folder}", image_size=None, epochs=3, lr=0.01, out=tmp_path / "run")
    items = ["number 3 was lovely and warm", "dull and cold", "neither here nor there"]
    here = run.predict(items, probabilities=True)
    moved = elsewhere(run.folder, tmp_path)
    folder.rename(tmp_path / "pretrained-no-more")
    assert in_a_fresh_process(moved, items) == here
    assert len({row["probability"] for row in here}) == len(here)


def test_a_run_predicts_what_it_wrote_for_the_test_split(photo_run: Path, photos: Path) -> None:
    import pyarrow.parquet as pq

    run = ts.Run.open(photo_run)
    written = pq.read_table(photo_run / "predictions.parquet").to_pylist()
    again = run.predict([photos / row["id"] for row in written])
    assert [row["label"] for row in again] == [row["label"] for row in written]
    assert [row["probability"] for row in again] == pytest.approx(
        [r["probability"] for r in written], abs=1e-6
    )


# What can be read again


def test_scores_verdict_history_and_plan_can_be_read(photo_run: Path) -> None:
    run = ts.Run.open(photo_run)
    assert run.finished
    assert run.scores["test"]["count"] == 7
    assert list(run.scores["baselines"]) == [
        "majority class",
        "colour histogram",
        "linear probe",
        "random twin",
    ]
    assert run.verdict.startswith("accuracy ")
    assert [row["phase"] for row in run.history] == ["head", "full"]
    assert [phase.name for phase in run.plan.phases] == ["head", "full"]
    assert run.plan.settings.batch == 8
    assert run.asked["model"] == "timm/test_resnet@none"
    assert run.manifest["seed"] == 0


def test_the_plan_that_people_read_names_stages_and_data(photo_run: Path) -> None:
    text = (photo_run / "plan.txt").read_text()
    assert "photos: 48 images in 3 classes" in text
    assert "layer4" in text


def test_a_run_scores_other_data(photo_run: Path, photos: Path) -> None:
    scores = ts.evaluate(photo_run, photos)
    assert scores.count == 48
    assert scores["accuracy"].low <= scores["accuracy"].value <= scores["accuracy"].high


class Told(Silent):
    """Remembers what is said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


@pytest.mark.skipif(find_spec("onnxruntime") is None, reason="needs onnxruntime")
def test_a_run_answers_and_scores_the_same_by_an_engine(photo_run: Path, photos: Path) -> None:
    own, told, again = Told(), Told(), Told()
    live = ts.predict(photo_run, photos, probabilities=True, device="cpu", reporter=own)
    rows, same = (
        ts.predict(
            photo_run, photos, probabilities=True, engine="onnxruntime", device="cpu", reporter=reporter
        )
        for reporter in (told, again)
    )
    assert rows == same  # the same command, the same bits
    assert rows != live  # the control: an engine rounds otherwise
    for row, expected in zip(rows, live, strict=True):
        assert row["label"] == expected["label"]
        assert row["probability"] == pytest.approx(expected["probability"], abs=1e-5)
    assert own.lines == []  # too few for auto to choose anything
    (line,) = told.lines
    assert line.startswith("engine: onnxruntime in fp32, ")
    assert told.lines == again.lines
    scores = ts.evaluate(photo_run, photos, engine="onnxruntime", device="cpu", reporter=Silent()).as_dict()
    expected = ts.evaluate(photo_run, photos, engine="eager", device="cpu", reporter=own).as_dict()
    assert own.lines == ["engine: eager, as asked"]
    assert scores["metrics"].keys() == expected["metrics"].keys()
    for name, score in scores["metrics"].items():
        assert score == pytest.approx(expected["metrics"][name], abs=1e-4), name


def test_an_engine_that_is_not_there_is_refused_with_its_cure(
    photo_run: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    for verb in (ts.predict, ts.evaluate):
        with pytest.raises(BadOption, match="found 'openvin'; did you mean 'openvino'"):
            verb(photo_run, "no-such-folder", engine="openvin")  # before anything is read
        with pytest.raises(MissingPackage, match=r"tunesmith\[openvino\]"):
            verb(photo_run, photos, engine="openvino", device="cpu")


def test_scores_of_an_unfinished_run_are_refused_with_the_way_on(photo_run: Path, tmp_path: Path) -> None:
    run = elsewhere(photo_run, tmp_path)
    (run / "scores.json").unlink()
    shutil.rmtree(run / "model")
    with pytest.raises(BadRun, match="tunesmith resume"):
        _ = ts.Run.open(run).scores
    with pytest.raises(BadRun, match="tunesmith resume"):
        ts.predict(run, ["x.png"])


def test_the_same_weights_are_the_same_file(photo_run: Path, photos: Path, tmp_path: Path) -> None:
    """safetensors orders several metadata keys anew in every file."""
    from tunesmith.runs import load_model, save_model

    network, task, labels = load_model(photo_run / "model")
    want = ts.Want("image-classification", 3, labels.names, image_size=32)
    written = set()
    for i in range(8):
        save_model(network, want, task, labels, tmp_path / str(i))
        written.add((tmp_path / str(i) / "weights.safetensors").read_bytes())
    assert len(written) == 1


def test_latest_leads_to_the_newest_run(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    first = fitted(photos)
    second = fitted(photos)
    assert first.folder != second.folder
    assert ts.Run.open("runs/latest").folder == second.folder


# A network of one's own


def test_a_run_of_a_network_of_ones_own_asks_for_its_code(photos: Path, tmp_path: Path) -> None:
    run = fitted(photos, model=mine(), image_size=None, lr=0.01, out=tmp_path / "run")
    items = [photos / "red" / "00.png", photos / "blue" / "00.png"]
    with pytest.raises(BadRun, match="module=YourNetwork"):
        ts.Run.open(run.folder).predict(items)
    opened = ts.Run.open(run.folder, module=Mine())
    assert {row["label"] for row in opened.predict(items)} <= {"red", "green", "blue"}
    assert (
        opened.evaluate(photos).as_dict() == ts.Run.open(run.folder, module=Mine()).evaluate(photos).as_dict()
    )


def test_a_run_of_a_network_of_ones_own_refuses_another_module(photos: Path, tmp_path: Path) -> None:
    run = fitted(photos, model=mine(), image_size=None, out=tmp_path / "run")
    with pytest.raises(ts.TunesmithError):
        ts.Run.open(run.folder, module=nn.Sequential(nn.Flatten(), nn.Linear(3072, 5))).predict(
            [photos / "red" / "00.png"]
        )


# A run as a model


def test_a_run_as_a_model_keeps_its_head_where_the_labels_are_the_same(
    photo_run: Path, photos: Path, tmp_path: Path
) -> None:
    run = fitted(photos, model=str(photo_run), lr=1e-6, head_lr=1e-6, out=tmp_path / "run")
    before = ts.evaluate(photo_run, photos)["log_loss"].value
    assert ts.evaluate(run, photos)["log_loss"].value == pytest.approx(before, abs=1e-3)


def test_a_run_as_a_model_gets_a_new_head_where_the_labels_are_others(
    photo_run: Path, photos: Path, tmp_path: Path
) -> None:
    other = tmp_path / "two"
    shutil.copytree(photos / "red", other / "warm")
    shutil.copytree(photos / "blue", other / "cold")
    run = fitted(other, model=str(photo_run), strategy="linear_probe", out=tmp_path / "run")
    assert run.model[2].names == ("cold", "warm")
    assert set(run.predict([photos / "red" / "00.png"], probabilities=True)[0]) >= {"p(cold)", "p(warm)"}
    kept = ts.Run.open(photo_run).model[0].module.state_dict()["layer4.0.conv1.weight"]
    assert run.model[0].module.state_dict()["layer4.0.conv1.weight"].equal(kept)


# Data in memory


def interrupted(data: Any, folder: Path, **options: Any) -> None:
    """A run of `data` that was stopped after its first epoch."""
    from tunesmith.training.events import EpochEnd

    class Impatient(Silent):
        def event(self, event: Any) -> None:
            if isinstance(event, EpochEnd):
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fitted(data, out=folder, epochs=3, reporter=Impatient(), **options)


def test_pairs_in_memory_are_learned_and_resumed_with_the_data_given_again(
    pairs: list[tuple[Path, str]], tmp_path: Path
) -> None:
    interrupted(pairs, tmp_path / "run")
    with pytest.raises(BadRun, match=r"data .* came from memory; pass it again"):
        ts.resume(tmp_path / "run", reporter=Silent())
    run = ts.resume(tmp_path / "run", data=pairs, reporter=Silent())
    assert run.finished
    assert len(run.history) == 3
    whole = fitted(pairs, epochs=3, out=tmp_path / "whole")
    assert (run.folder / "model" / "weights.safetensors").read_bytes() == (
        whole.folder / "model" / "weights.safetensors"
    ).read_bytes()


def test_a_run_is_not_resumed_with_other_data_in_memory(
    pairs: list[tuple[Path, str]], tmp_path: Path
) -> None:
    interrupted(pairs, tmp_path / "run")
    with pytest.raises(BadRun, match="the data are not those"):
        ts.resume(tmp_path / "run", data=pairs[:-1], reporter=Silent())


def test_a_frame_is_learned_resumed_and_predicted(
    reviews: Path, tiny_text: Callable[[str], Path], tmp_path: Path
) -> None:
    pd = pytest.importorskip("pandas")
    frame = pd.read_csv(reviews)
    interrupted(frame, tmp_path / "run", model=f"hf/{tiny_text('bert')}", image_size=None)
    run = ts.resume(tmp_path / "run", data=frame, reporter=Silent())
    answers = run.predict(frame.drop(columns="label"))
    assert [row["item"] for row in answers] == list(frame["text"])
    assert run.evaluate(frame).count == 60


def test_a_network_in_memory_is_given_again_to_resume(photos: Path, tmp_path: Path) -> None:
    interrupted(photos, tmp_path / "run", model=mine(), image_size=None)
    with pytest.raises(BadRun, match=r"model .* came from memory; pass it again"):
        ts.resume(tmp_path / "run", reporter=Silent())
    assert ts.resume(tmp_path / "run", model=mine(), reporter=Silent()).finished


def test_a_run_is_resumed_from_another_working_folder(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(photos.parent)
    interrupted("photos", tmp_path / "run")
    monkeypatch.chdir(tmp_path)
    assert ts.resume("run", reporter=Silent()).finished


def test_a_run_that_diverged_keeps_the_best_network_before_it(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tunesmith.tasks.classification import Classification

    whole, seen = Classification.loss, [0]

    def failing(self: Classification, network: ts.Network, batch: Any) -> Any:
        seen[0] += 1
        return whole(self, network, batch) * (float("nan") if seen[0] > 7 else 1)

    monkeypatch.setattr(Classification, "loss", failing)
    options = {"model": "timm/test_resnet@none", "image_size": 32, "batch": 8, "device": "cpu"}
    with pytest.raises(Diverged, match=r"best network so far is the result\. The run is in"):
        ts.fit(str(photos), out=tmp_path / "run", epochs=3, reporter=Silent(), **options)  # type: ignore[arg-type]
    run = ts.Run.open(tmp_path / "run")
    assert run.scores["ended"] == "diverged"
    assert len(run.predict(str(photos / "red" / "00.png"))) == 1


def test_an_image_size_for_a_network_that_is_already_built_is_refused(photo_run: Path, photos: Path) -> None:
    with pytest.raises(
        BadOption, match=r"already built for an input of 32, and image_size asks for 64; leave image_size out"
    ):
        ts.fit(str(photos), model=str(photo_run), image_size=64, dry_run=True, reporter=Silent())


def test_downloads_lie_under_the_cache_that_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from tunesmith.verbs.environment import prepare

    monkeypatch.setenv("TUNESMITH_CACHE", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", "mine")
    monkeypatch.delenv("HF_HOME", raising=False)
    prepare()
    assert os.environ["HF_HOME"] == str(tmp_path / "huggingface")
    assert os.environ["TORCH_HOME"] == "mine"


def test_a_run_reads_the_columns_that_it_learned_from(reviews: Path, tmp_path: Path, tiny_text: Any) -> None:
    table = tmp_path / "odd.csv"
    table.write_text(reviews.read_text().replace("text,label", "what_was_said,verdict", 1))
    run = fitted(
        str(table), model=f"hf/{tiny_text('bert')}", image_size=None, item="what_was_said", target="verdict",
        out=tmp_path / "run",
    )  # fmt: skip
    assert len(run.predict(str(table))) == 60
    assert run.evaluate(str(table)).count == 60
    assert len(ts.Run.open(run.folder).predict(["lovely"])) == 1


def test_a_network_of_ones_own_predicts_right_after_it_was_learned(photos: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
    mine = ts.network(module, example=torch.zeros(1, 3, 32, 32))
    run = fitted(str(photos), model=mine, image_size=None, out=tmp_path / "run")
    assert len(run.predict(str(photos / "red" / "00.png"))) == 1


def test_a_bare_module_is_told_to_be_wrapped(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(BadOption, match=r"found a Linear.*tunesmith.network\(module, example"):
        fitted(str(photos), model=nn.Linear(3, 3), out=tmp_path / "run")


def test_a_rate_that_nobody_named_is_lowered_where_training_diverges_and_the_run_says_so(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tunesmith.tasks.classification import Classification

    whole, seen = Classification.loss, [0]

    def failing(self: Classification, network: ts.Network, batch: Any) -> Any:
        seen[0] += 1
        return whole(self, network, batch) * (float("nan") if seen[0] == 7 else 1)

    monkeypatch.setattr(Classification, "loss", failing)
    options: dict[str, Any] = {
        "model": "timm/test_resnet@none",
        "image_size": 32,
        "batch": 8,
        "device": "cpu",
    }
    options |= {"strategy": "full", "epochs": 2, "reporter": Silent()}
    run = ts.fit(str(photos), out=tmp_path / "free", **options)
    assert run is not None
    (said,) = run.scores["remedies"]
    assert said["trouble"] == "diverged"
    assert "begins anew at a third of its rates" in (run.folder / "log.txt").read_text()
    seen[0] = 0
    with pytest.raises(Diverged, match="the loss became nan at step 7"):
        ts.fit(str(photos), out=tmp_path / "named", lr=1e-3, **options)
