"""Questions: fit, predict, evaluate, check, as for classes."""

from __future__ import annotations

import csv
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
from tunesmith.errors import TunesmithError
from tunesmith.runs import Run
from tunesmith.verbs.reporting import Lines, Silent


@pytest.fixture(scope="module")
def options(tiny_reader: Path) -> dict[str, Any]:
    return {"model": f"hf/{tiny_reader}", "batch": 8, "device": "cpu", "engine": "eager"}


@pytest.fixture(scope="module")
def run(
    riddles: Callable[..., Path], options: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Run:
    out = tmp_path_factory.mktemp("runs") / "riddles"
    found = ts.fit(riddles(), epochs=4, lr=0.003, out=out, reporter=Silent(), **options)
    assert found is not None
    return found


def test_a_fit_finds_out_that_these_are_questions(run: Run) -> None:
    assert run.described["task"] == "question-answering"
    scores = run.scores
    assert scores["metric"] == "f1"
    plain = {"whole context", "first sentence", "sliding window"}
    assert set(scores["baselines"]) == {*plain, "linear probe", "random twin"}
    assert {"exact_match", "f1", "answer_loss"} <= set(scores["test"]["metrics"])
    assert "the linear probe" in scores["verdict"]
    (*_, (count, value)) = scores["learning"]["pretrained"]
    assert count == scores["learning"]["doubling"]["labels"]
    assert value == pytest.approx(scores["baselines"]["linear probe"]["metrics"]["f1"]["value"])


def test_answers_are_shown_in_their_context(run: Run, riddles: Callable[..., Path]) -> None:
    context = "Ann has a dog. Bob has a cat."
    (row,) = ts.predict(run, question="What has Bob?", context=context, device="cpu")
    assert list(row) == ["item", "answer", "start", "end", "score", "in context"]
    assert row["item"] == "What has Bob?"
    assert context[row["start"] : row["end"]] == row["answer"] != ""
    assert f"[{row['answer']}]" in row["in context"]
    assert 0 < row["score"] <= 1
    asked = ts.predict(run, [{"question": "What has Bob?", "context": context}], device="cpu")
    assert asked == [row]


def test_a_file_of_questions_is_answered_whole(
    run: Run, riddles: Callable[..., Path], tmp_path: Path
) -> None:
    rows = ts.predict(run, riddles(), device="cpu", batch=7)
    assert len(rows) == 64
    content = json.loads(riddles().read_text())
    contexts = {q["id"]: p["context"] for a in content["data"] for p in a["paragraphs"] for q in p["qas"]}
    names = [q["id"] for a in content["data"] for p in a["paragraphs"] for q in p["qas"]]
    for name, row in zip(names, rows, strict=True):
        assert contexts[name][row["start"] : row["end"]] == row["answer"]
    table = tmp_path / "asked.jsonl"
    table.write_text(
        json.dumps({"question": "What has Bob?", "context": contexts["0B"], "from": "me"}) + "\n"
    )
    (row,) = ts.predict(run, table, device="cpu")
    assert row["from"] == "me"


@pytest.mark.skipif(find_spec("onnxruntime") is None, reason="needs onnxruntime")
def test_an_engine_gives_the_same_answers_in_every_window(run: Run, riddles: Callable[..., Path]) -> None:
    live = run.predict(riddles())
    for row, own in zip(run.predict(riddles(), engine="onnxruntime"), live, strict=True):
        assert row["score"] == pytest.approx(own["score"], abs=1e-4)
        assert row["answer"] == own["answer"]
    assert len({row["score"] for row in live}) > 4  # the control: equality says something


def test_scores_come_again_from_the_file(run: Run, riddles: Callable[..., Path]) -> None:
    scores = ts.evaluate(run, riddles(), device="cpu")
    assert scores.count == 64
    kept = {row["id"]: row for row in run.predictions}
    assert set(next(iter(kept.values()))) == {
        "id",
        "truth",
        "answer",
        "start",
        "end",
        "score",
        "in context",
        "spans",
    }
    test = run.scores["test"]["metrics"]["exact_match"]["value"]
    truths = [json.loads(row["truth"])["answers"][0]["text"] for row in kept.values()]
    ours = [row["answer"] for row in kept.values()]
    from tunesmith.tasks.span_metrics import exact_match

    assert np.mean(
        [exact_match(own, [truth]) for own, truth in zip(ours, truths, strict=True)]
    ) == pytest.approx(test)


def test_frozen_stages_are_replayed_to_the_same_bits(
    riddles: Callable[..., Path], options: dict[str, Any], tmp_path: Path, run: Run
) -> None:
    live = ts.fit(
        riddles(), epochs=4, lr=0.003, out=tmp_path / "live", reporter=Silent(), replay=False, **options
    )
    assert live is not None
    assert run.replay["share"] > 0
    assert not live.replay.get("share")
    ours, theirs = (own.history for own in (run, live))
    assert [row["valid_loss"] for row in ours] == pytest.approx(
        [row["valid_loss"] for row in theirs], rel=1e-4
    )
    for baseline in ("linear probe", "random twin"):
        first, second = (own.scores["baselines"][baseline]["metrics"] for own in (run, live))
        assert first["f1"]["value"] == pytest.approx(second["f1"]["value"], abs=0.02)


def test_questions_without_an_answer_are_told(
    riddles: Callable[..., Path], options: dict[str, Any], tmp_path: Path
) -> None:
    out = tmp_path / "none"
    found = ts.fit(
        riddles(impossible=True), epochs=2, out=out, reporter=Silent(), strategy="linear_probe", **options
    )
    assert found is not None
    scores = found.scores
    assert "no answer" in scores["baselines"]
    assert not {"linear probe", "random twin"} & scores["baselines"].keys()  # neither knows when to say none
    assert {"f1/answered", "f1/no answer"} <= set(scores["test"]["metrics"])
    assert len(found.model[2].thresholds) == 1
    rows = ts.predict(out, riddles(impossible=True), device="cpu")
    silent = [row for row in rows if row["answer"] == ""]
    assert all(row["start"] is None for row in silent)
    assert all({"no answer", "score"} <= set(row) for row in rows)


def test_what_cannot_be_asked_is_refused_before_anything_runs(run: Run, tmp_path: Path) -> None:
    refused: list[tuple[dict[str, Any], str]] = [
        ({"question": "who?"}, "a question needs its context"),
        ({"context": "Bob did."}, "a question needs its context"),
        ({"question": "who?", "context": "Bob.", "items": ["a"]}, "are one item by themselves"),
        ({"items": ["who did it?"]}, "is one text, and a question needs its context"),
        ({"items": [{"text": "who?"}]}, "has no column called question or query"),
        (
            {"question": "who?", "context": str(tmp_path / "none.txt")},
            "is no file that a text can be read from",
        ),
    ]
    for given, said in refused:
        with pytest.raises(TunesmithError, match=said):
            ts.predict(run, **given, device="cpu")


def test_networks_for_questions_are_ranked_by_hits(
    riddles: Callable[..., Path], options: dict[str, Any]
) -> None:
    known = {name: options[name] for name in ("device", "engine")}
    ranking = ts.rank(riddles(), models=options["model"], reporter=Silent(), **known)
    assert ranking.failed == ()
    assert ranking.probed == "hit@1"
    assert 0 < ranking.best.accuracy.value <= 1
    assert 20 < ranking.examples <= ranking.training


def test_check_names_contexts_that_two_splits_share(riddles: Callable[..., Path], tmp_path: Path) -> None:
    content = json.loads(riddles().read_text())
    for name, part in (
        ("train", content["data"][:10]),
        ("dev", content["data"][10:14]),
        ("test", content["data"][13:]),
    ):
        if name == "test":
            for paragraph in part[0]["paragraphs"]:
                for question in paragraph["qas"]:
                    question["id"] += "again"
        (tmp_path / f"{name}.json").write_text(json.dumps({"data": part}))
    found = {finding.kind: finding for finding in ts.check(tmp_path, reporter=Silent()).findings}
    assert found["contexts_across"].count == 2
    assert found["contexts_across"].values["leaked"] == 4


def test_check_counts_questions_that_cannot_be_used(riddles: Callable[..., Path], tmp_path: Path) -> None:
    content = json.loads(riddles().read_text())
    content["data"][3]["paragraphs"][0]["qas"][1]["answers"][0]["answer_start"] += 1
    (tmp_path / "a.json").write_text(json.dumps(content))
    health = ts.check(tmp_path / "a.json", reporter=Silent())
    found = {finding.kind: finding for finding in health.findings}
    assert (found["misplaced"].level, found["misplaced"].count) == ("error", 1)
    assert (
        health.counts == {"question-answering": {"train": 43, "valid": 12, "test": 8}}
        or sum(health.counts["question-answering"].values()) == 63
    )
    with pytest.raises(TunesmithError, match="is not at character 9"):
        ts.fit(tmp_path / "a.json", dry_run=True, reporter=Silent())


def test_a_dry_run_says_what_was_understood(
    riddles: Callable[..., Path], options: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    ts.fit(riddles(), dry_run=True, reporter=Lines(), **options)
    said = capsys.readouterr().err
    assert "64 questions on" in said
    assert "no article in two" in said
    assert "best validation F1 is kept" in said


def test_the_page_shows_answers_in_their_contexts_in_both_languages(run: Run, tmp_path: Path) -> None:
    english = ts.report(run, out=tmp_path / "en.html").read_text()
    assert "Answers in their contexts" in english
    assert "The surest right answers" in english
    answers = [row for row in run.predictions if row["answer"]]
    assert any(f'<mark class="for-3">{row["answer"]}</mark>' in english for row in answers)
    chinese = ts.report(run, out=tmp_path / "zh.html", lang="zh").read_text()
    assert "上下文中的答案" in chinese
    assert "精确匹配" in chinese


def test_runs_are_compared_question_by_question(
    run: Run, riddles: Callable[..., Path], options: dict[str, Any], tmp_path: Path
) -> None:
    out = tmp_path / "other"
    ts.fit(riddles(), epochs=1, strategy="linear_probe", out=out, reporter=Silent(), **options)
    found = ts.compare([run.folder, out])
    assert found.count == run.scores["test"]["count"]
    assert {"exact_match", "f1"} <= set(found.runs[1].gaps)


def test_a_killed_run_of_questions_resumes_to_the_same_bits(
    ask: Callable[..., dict[str, Any]], riddles: Callable[..., Path], options: dict[str, Any], tmp_path: Path
) -> None:
    data = str(riddles(impossible=True))
    asked = {**options, "data": data, "epochs": 2, "lr": 0.003, "dropout": 0.1}
    digests = []
    for name, deaths in (("alone", []), ("killed", [("step", 5), ("predict", 2)])):
        out = tmp_path / name
        first = deaths[0] if deaths else None
        assert ask("fit", first, **asked, out=str(out))["killed"] == bool(deaths)
        for moment in deaths[1:]:
            ask("resume", moment, run=str(out))
        if not (out / "scores.json").is_file():
            assert ask("resume", run=str(out)) == {"killed": False, "code": 0}
        names = ("model/weights.safetensors", "model/network.json", "scores.json", "predictions.parquet")
        digests.append([(out / name).read_bytes() for name in names])
    assert digests[0] == digests[1]


def test_a_fresh_process_answers_the_same(run: Run, tmp_path: Path) -> None:
    (tmp_path / "context.txt").write_text("Ann has a dog. Bob has a cat. " + "Town 3 lives. " * 12)
    asked = {"question": "What has Bob?", "context": str(tmp_path / "context.txt")}
    words = [part for name, value in asked.items() for part in (f"--{name}", value)]
    done = subprocess.run(
        [sys.executable, "-m", "tunesmith", "predict", str(run.folder), *words, "--device", "cpu"],
        capture_output=True,
        text=True,
        check=True,
    )
    (row,) = csv.DictReader(done.stdout.splitlines())
    (here,) = ts.predict(run, **asked, device="cpu")  # type: ignore[arg-type]
    assert (row["item"], row["answer"], int(row["start"])) == (here["item"], here["answer"], here["start"])
