"""Classes and numbers from pairs of texts: fit, predict, evaluate, check and page, as for single texts."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tunesmith as ts
from tunesmith.errors import TunesmithError
from tunesmith.runs import Run
from tunesmith.verbs.reporting import Lines, Silent

WORDS = ("fox", "owl", "cat", "bee", "elk", "ant")


@pytest.fixture(scope="module")
def same(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """120 pairs: whether both texts name one animal, how many letters it has more; and a number of a row."""
    random = np.random.default_rng(0)
    rows = []
    for i in range(120):
        first = WORDS[i % 6]
        second = first if i % 2 else str(random.choice([word for word in WORDS if word != first]))
        texts = f"number {i} is a {first}", f"and {second} is what {i} saw"
        rows.append((f"p{i}", *texts, "yes" if i % 2 else "no"))
    path = tmp_path_factory.mktemp("data") / "same.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("id", "sentence1", "sentence2", "label"), *rows])
    return path


@pytest.fixture(scope="module")
def run(same: Path, tiny_text: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Run:
    found = ts.fit(
        same,
        model=f"hf/{tiny_text('bert')}",
        strategy="lp_ft",
        epochs=1,
        keep="trained",
        out=tmp_path_factory.mktemp("runs") / "same",
        device="cpu",
        reporter=Silent(),
    )
    assert found is not None
    return found


def test_a_fit_of_pairs_is_found_from_the_columns_and_scored_beside_each_text_alone(run: Run) -> None:
    assert run.described["task"] == "text-pair-classification"
    assert {"accuracy", "macro_f1"} <= run.scores["test"]["metrics"].keys()
    baselines = run.scores["baselines"]
    assert {"majority class", "TF-IDF", "first text alone", "second text alone", "linear probe"} <= set(
        baselines
    )


def test_pairs_are_predicted_as_tuples_and_from_a_table(run: Run, same: Path) -> None:
    (row,) = run.predict([("number 3 is a fox", "and fox is what 3 saw")])
    assert (row["first"], row["second"]) == ("number 3 is a fox", "and fox is what 3 saw")
    assert row["label"] in ("yes", "no")
    rows = run.predict(same)
    assert list(rows[0])[:5] == ["first", "second", "label", "probability", "id"]
    assert (rows[3]["id"], rows[3]["first"]) == ("p3", "number 3 is a bee")
    assert rows[3]["label given"] == "yes"
    raw: Any = run.model[0].preprocess.raw
    pair, turned = (raw([item])["input_ids"] for item in ("a fox\x1fb", "b\x1fa fox"))
    assert pair.tolist() != turned.tolist()  # the order counts


def test_another_process_predicts_the_same(run: Run, same: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tunesmith", "predict", str(run.folder), str(same)]
    subprocess.run([*command, "--output", str(tmp_path / "out.jsonl")], check=True, capture_output=True)
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    expected = run.predict(same)
    assert [row["label"] for row in rows] == [row["label"] for row in expected]
    assert [row["probability"] for row in rows] == pytest.approx([row["probability"] for row in expected])
    assert {key: rows[0][key] for key in ("first", "second")} == {
        "first": "number 0 is a fox",
        "second": expected[0]["second"],
    }


def test_pairs_that_lack_a_text_are_answered_and_said(run: Run) -> None:
    said: list[str] = []
    given = [("a fox", "a fox"), ("a fox", " "), ("", "")]
    assert len(run.predict(given, told=said.append)) == 3
    assert [line for line in said if "lack" in line] == [
        "2 of 3 pairs lack one of their texts; answers to these mean nothing"
    ]
    said.clear()
    run.predict(given[:1], told=said.append)
    assert not [line for line in said if "lack" in line]


def test_an_evaluation_repeats_the_test_scores(run: Run, same: Path, tmp_path: Path) -> None:
    ids = {row["id"].partition(":")[2] for row in run.predictions}
    lines = same.read_text().splitlines()
    kept = [line for number, line in enumerate(lines, start=1) if str(number) in ids]
    (tmp_path / "test.csv").write_text("\n".join([lines[0], *kept]))
    again = ts.evaluate(run, tmp_path / "test.csv")
    assert again["accuracy"].value == run.scores["test"]["metrics"]["accuracy"]["value"]


def test_the_page_shows_both_texts_of_a_mistake(run: Run, tmp_path: Path) -> None:
    for lang in ("en", "zh"):
        page = ts.report(run, out=tmp_path / f"{lang}.html", lang=lang).read_text(encoding="utf-8")
        assert "\x1f" not in page
        assert "\nand " in page  # the second one stands on a line of its own


def test_pairs_that_are_cut_are_counted(
    tiny_text: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [(f"a{i} " * (40 if i == 7 else 2), f"b{i} c", "xy"[i % 2]) for i in range(40)]
    found = ts.fit(
        rows,
        model=f"hf/{tiny_text('bert')}",
        strategy="linear_probe",
        solver="ridge",
        max_length=16,
        baselines="none",
        out=tmp_path / "run",
        device="cpu",
        reporter=Lines(),
    )
    said = capsys.readouterr().err
    assert "are longer than 16 tokens together, and lose the end of the longer text" in said
    assert found is not None
    inputs = found.model[0].preprocess.raw([f"{'a ' * 40}\x1fb c"])
    tokenizer = found.model[0].preprocess.tokenizer  # type: ignore[attr-defined]
    assert tokenizer.decode(inputs["input_ids"][0][-2:]) == "b c"  # type: ignore[index]
    ts.predict(found, [("a " * 40, "b c"), ("a", "b")], device="cpu", reporter=Lines())
    assert "1 of 2 pairs are longer than 16 tokens together, and lose" in capsys.readouterr().err


def test_numbers_of_pairs_are_learned_by_their_correlation(
    tiny_text: Callable[[str], Path], tmp_path: Path
) -> None:
    random = np.random.default_rng(0)
    rows = []
    for i in range(80):
        shared, other = random.choice(WORDS, 2, replace=False)
        count = int(random.integers(0, 4))
        texts = " ".join([shared] * 3), " ".join([shared] * count + [other] * (3 - count))
        rows.append({"s1": texts[0], "s2": texts[1], "score": count / 3 + i / 1000})
    found = ts.fit(
        rows,
        model=f"hf/{tiny_text('bert')}",
        strategy="linear_probe",
        solver="ridge",
        metric="pearson",
        out=tmp_path / "run",
        device="cpu",
        reporter=Silent(),
    )
    assert found is not None
    assert found.described["task"] == "text-pair-regression"
    assert {"pearson", "spearman", "rmse", "mae", "r2"} <= found.scores["test"]["metrics"].keys()
    assert found.scores["metric"] == "pearson"
    assert {"training mean", "TF-IDF", "second text alone"} <= set(found.scores["baselines"])
    assert list(found.predict([("fox owl", "fox cat")])[0])[:3] == ["first", "second", "score"]


def test_a_check_says_what_one_text_alone_tells(tmp_path: Path) -> None:
    """Pairs of which the second text gives the answer away, as negations do in natural language inference."""
    rows = []
    for i in range(90):
        said = "nobody sleeps" if i % 2 else "somebody moves"
        rows.append((f"a man walks at {i}", f"{said} in scene {i * 7}", ("yes", "no")[i % 2]))
    found = ts.check(rows, reporter=Silent(), page=tmp_path / "page.html", lang="zh")
    (own,) = [one for one in found.findings if one.kind == "one_side_tells"]
    assert (own.values["side"], own.values["value"]) == (2, 1.0)
    assert "\x1f" not in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_a_text_alone_is_refused_by_predict(run: Run) -> None:
    with pytest.raises(TunesmithError, match="row 0 is one text, and a pair is of two"):
        run.predict(["number 3 is a fox"])
