"""Tagged words from the data to the report: fit, predict, evaluate, resume, check."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tunesmith as ts
from tunesmith.runs import Run
from tunesmith.verbs.reporting import Silent

Ask = Callable[..., dict[str, Any]]
PEOPLE, PLACES, REST = ("ann", "bob", "eve"), ("rome", "oslo"), ("met", "left", "saw", "in", "with", "big")


def sentences(count: int, *, seed: int = 0) -> str:
    """Sentences of four to nine words, some of them people (of one or two words) and places."""
    rng = np.random.default_rng(seed)
    lines = []
    for _ in range(count):
        for _ in range(int(rng.integers(2, 5))):
            kind = rng.choice(["person", "place", "rest"])
            if kind == "person":
                lines += [f"{rng.choice(PEOPLE)}\tB-PER", *(["lee\tI-PER"] if rng.random() < 0.5 else [])]
            elif kind == "place":
                lines.append(f"{rng.choice(PLACES)}\tB-LOC")
            lines.append(f"{rng.choice(REST)}\tO")
        lines.append("")
    return "\n".join(lines)


@pytest.fixture(scope="module")
def tagged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "tagged"
    folder.mkdir()
    for seed, (split, count) in enumerate((("train", 60), ("dev", 24), ("test", 24))):
        (folder / f"{split}.txt").write_text(sentences(count, seed=seed))
    return folder


@pytest.fixture(scope="module")
def options(tagged: Path, tiny_text: Callable[[str], Path]) -> dict[str, Any]:
    return {
        "data": str(tagged),
        "model": f"hf/{tiny_text('bert')}",
        "strategy": "lp_ft",
        "epochs": 4,
        "lr": 0.01,
        "batch": 8,
        "device": "cpu",
        "engine": "eager",
    }


@pytest.fixture(scope="module")
def run(options: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Run:
    found = ts.fit(**options, out=tmp_path_factory.mktemp("runs") / "tagged", reporter=Silent())
    assert found is not None
    return found


def test_a_fit_without_a_task_learns_tags_and_is_judged_by_sentence(run: Run, tagged: Path) -> None:
    scores = run.scores
    assert scores["metric"] == "f1"
    assert scores["test"]["count"] == 24
    assert {"no spans", "most frequent tag per word"} <= set(scores["baselines"])
    assert scores["baselines"]["no spans"]["metrics"]["f1"]["value"] == 0
    assert scores["test"]["metrics"]["f1"]["value"] > 0.5
    assert set(scores["test"]["metrics"]) >= {"precision/PER", "recall/LOC", "f1/PER", "macro_f1", "log_loss"}
    assert run.described["task"] == "token-classification"
    assert scores["difference"]["baseline"] == "linear probe"


def test_a_saved_run_answers_the_same_in_a_fresh_process(run: Run, tagged: Path) -> None:
    texts = ["ann lee met eve in oslo", "big rome", "nobody"]
    here = run.predict(texts)
    assert all(
        texts[i][span["start"] : span["end"]].strip() for i, row in enumerate(here) for span in row["spans"]
    )
    code = (
        "import json, sys, tunesmith as ts; "
        "print(json.dumps(ts.Run.open(sys.argv[1]).predict(json.loads(sys.argv[2]))))"
    )
    said = subprocess.run(
        [sys.executable, "-c", code, str(run.folder), json.dumps(texts)],
        capture_output=True,
        check=True,
        text=True,
    )
    assert json.loads(said.stdout) == here


def test_pretrained_features_are_compared_with_those_of_random_weights(run: Run) -> None:
    scores = run.scores
    assert scores["twin"] == {"learned_from": 60, "tested_on": 24}
    assert "random twin" in scores["baselines"]
    assert scores["baselines"]["random twin"] != scores["baselines"]["linear probe"]
    learned = scores["learning"]["pretrained"]
    assert [count for count, _ in learned] == [30, 60]
    assert learned[-1][1] == pytest.approx(scores["baselines"]["linear probe"]["metrics"]["f1"]["value"])


def test_networks_for_tags_are_ranked_by_their_words(options: dict[str, Any]) -> None:
    known = {name: options[name] for name in ("data", "device", "engine")}
    models = [options["model"], f"{options['model']}@none"]
    ranking = ts.rank(models=models, reporter=Silent(), **known)
    assert ranking.failed == ()
    assert {row.model for row in ranking.rows} == set(models)
    assert ranking.probed == "macro-F1"
    assert 0.2 < ranking.best.accuracy.value <= 1


def test_predicting_obeys_the_words_of_a_file_and_evaluating_its_tags(run: Run, tagged: Path) -> None:
    answers = run.predict(str(tagged / "test.txt"))
    assert len(answers) == 24
    scores = run.evaluate(str(tagged), split="test")
    assert scores["f1"].value == pytest.approx(run.scores["test"]["metrics"]["f1"]["value"], abs=1e-9)


@pytest.mark.skipif(find_spec("onnxruntime") is None, reason="needs onnxruntime")
def test_an_engine_tags_the_same_words(run: Run, tagged: Path) -> None:
    live = run.predict(str(tagged / "test.txt"))
    assert len({len(row["item"]) for row in live}) > 5  # texts of many lengths
    for row, own in zip(run.predict(str(tagged / "test.txt"), engine="onnxruntime"), live, strict=True):
        assert row["marked"] == own["marked"]
        chances, expected = ([span["probability"] for span in r["spans"]] for r in (row, own))
        assert chances == pytest.approx(expected, abs=3e-4)  # of four digits
    assert any(row["spans"] for row in live)  # the control


def test_frozen_stages_are_replayed_token_by_token(run: Run) -> None:
    assert any(run.replay["at"]) if "at" in run.replay else run.replay
    frozen = [phase for phase in run.plan.phases if phase.frozen_prefix]
    assert frozen


def test_replaying_changes_nothing(options: dict[str, Any], tmp_path: Path) -> None:
    asked = {**options, "strategy": "top", "unfreeze": 1, "epochs": 2, "keep": "trained", "baselines": "none"}
    both = [
        ts.fit(**asked, replay=replay, out=tmp_path / str(replay), reporter=Silent())
        for replay in (True, False)
    ]
    losses = [[row["train_loss"] for row in own.history] for own in both if own is not None]
    np.testing.assert_allclose(losses[0], losses[1], rtol=2e-4)


def outcome(folder: Path) -> str:
    total = hashlib.sha256()
    for name in ("model/weights.safetensors", "scores.json", "predictions.parquet"):
        total.update((folder / name).read_bytes())
    for line in (folder / "history.jsonl").read_text().splitlines():
        total.update(json.dumps({k: v for k, v in json.loads(line).items() if k != "seconds"}).encode())
    return total.hexdigest()


def test_a_killed_run_is_resumed_to_the_same_bits(ask: Ask, options: dict[str, Any], tmp_path: Path) -> None:
    asked = {**options, "epochs": 2, "balance": "weights"}
    assert ask("fit", **asked, out=str(tmp_path / "whole")) == {"killed": False, "code": 0}
    for i, moment in enumerate((("step", 5), ("phase", 1), ("fsync", 25))):
        out = str(tmp_path / f"killed{i}")
        assert ask("fit", die=moment, **asked, out=out)["killed"]
        assert ask("resume", run=out) == {"killed": False, "code": 0}
        assert outcome(tmp_path / f"killed{i}") == outcome(tmp_path / "whole")
    other = tmp_path / "other"
    assert ask("fit", **{**asked, "seed": 1}, out=str(other)) == {"killed": False, "code": 0}
    assert outcome(other) != outcome(tmp_path / "whole")  # or the test is blind


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_a_page_shows_marked_texts_and_types(run: Run, tmp_path: Path, lang: str) -> None:
    page = run.report(out=tmp_path / "page.html", lang=lang).read_text()
    assert "<sub>PER</sub></mark>" in page
    assert {"en": "Types", "zh": "类型"}[lang] in page
    assert '"words"' not in page  # of a label's JSON


def test_a_run_is_compared_with_itself(run: Run) -> None:
    found = ts.compare([run, run])
    assert found.metric == "f1"
    assert found.count == 24
