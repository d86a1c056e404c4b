"""Numbers from images and texts: fit, predict, evaluate, resume, check, as for classes."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

import tunesmith as ts
from tunesmith.cli.health import draw
from tunesmith.errors import TunesmithError
from tunesmith.reports.health_page import health_page
from tunesmith.reports.page import run_page
from tunesmith.runs import Run
from tunesmith.verbs.gathering import gather
from tunesmith.verbs.reporting import Lines, Silent


@pytest.fixture(scope="module")
def fruit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """48 pictures beside a table: price is the red in them, in hundreds, weight the green."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("data") / "fruit"
    folder.mkdir()
    random = np.random.default_rng(0)
    rows = ["file,price,weight"]
    for i in range(48):
        red, green = random.uniform(0, 1, 2)
        pixels = random.integers(0, 60, (40, 40, 3)).astype(np.float64)
        pixels[..., 0] += 190 * red
        pixels[..., 1] += 190 * green
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{i:02d}.png")
        rows.append(f"{i:02d}.png,{100 * red:.3f},{green + 5:.4f}")
    (folder / "numbers.csv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture(scope="module")
def stars(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """80 reviews with a mean of stars, and a column of who wrote them."""
    random = np.random.default_rng(0)
    words = ["awful", "dull", "fair", "fine", "great"]
    rows = ["text,author,stars"]
    for i in range(80):
        drawn = random.integers(0, 5, 3)
        said = " and ".join(words[k] for k in drawn)
        rows.append(f"number {i} was {said},a{i % 20},{1 + drawn.mean():.2f}")
    path = tmp_path_factory.mktemp("data") / "stars.csv"
    path.write_text("\n".join(rows) + "\n")
    return path


@pytest.fixture(scope="module")
def options() -> dict[str, Any]:
    return {
        "model": "timm/test_resnet@none",
        "image_size": 32,
        "batch": 8,
        "device": "cpu",
        "engine": "eager",
    }


@pytest.fixture(scope="module")
def run(fruit: Path, options: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Run:
    out = tmp_path_factory.mktemp("runs") / "fruit"
    found = ts.fit(
        fruit, target="price", epochs=4, lr=0.003, keep="trained", out=out, reporter=Silent(), **options
    )
    assert found is not None
    return found


def test_a_fit_learns_numbers_and_scores_them_in_their_unit(run: Run) -> None:
    scores = run.scores
    assert scores["metric"] == "rmse"
    test = scores["test"]["metrics"]
    mean = scores["baselines"]["training mean"]["metrics"]
    assert test["rmse"]["value"] < 0.7 * mean["rmse"]["value"]
    assert 15 < mean["rmse"]["value"] < 50  # of a price from 0 to 100
    assert set(scores["baselines"]) == {"training mean", "colour histogram", "linear probe", "random twin"}
    assert scores["learning"]["metric"] == "r2"
    assert scores["test"]["confusion"] is None


def test_the_best_epoch_has_the_least_error(run: Run) -> None:
    kept = run.scores["kept"]
    best = min(run.history, key=lambda row: row["rmse"])
    assert (kept["phase"], kept["epoch"]) == (best["phase"], best["epoch"])


def test_predictions_are_in_the_unit_with_intervals(run: Run, fruit: Path) -> None:
    rows = run.predict([str(fruit / f"{i:02d}.png") for i in range(48)])
    truth = [float(line.split(",")[1]) for line in (fruit / "numbers.csv").read_text().splitlines()[1:]]
    assert list(rows[0]) == ["item", "price"]  # 7 validation examples are too few for an interval
    said = np.asarray([row["price"] for row in rows])
    assert np.corrcoef(said, truth)[0, 1] > 0.7
    assert 20 < said.mean() < 80


def test_another_process_predicts_the_same(run: Run, fruit: Path, tmp_path: Path) -> None:
    items = [str(fruit / f"{i:02d}.png") for i in range(3)]
    command = [sys.executable, "-m", "tunesmith", "predict", str(run.folder), *items, "--device", "cpu"]
    subprocess.run([*command, "--output", str(tmp_path / "out.jsonl")], check=True, capture_output=True)
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    expected = run.predict(items, device="cpu")
    assert [row["item"] for row in rows] == [row["item"] for row in expected]
    assert [row["price"] for row in rows] == pytest.approx([row["price"] for row in expected])
    assert len({round(row["price"], 3) for row in rows}) == 3  # or the test is blind


def test_an_evaluation_repeats_the_test_scores(run: Run, fruit: Path, tmp_path: Path) -> None:
    ids = {row["id"] for row in run.predictions}
    lines = (fruit / "numbers.csv").read_text().splitlines()
    kept = [f"{fruit}/{line}" for line in lines[1:] if line.split(",")[0] in ids]
    (tmp_path / "test.csv").write_text("\n".join([lines[0], *kept]))
    again = ts.evaluate(run, tmp_path / "test.csv")
    assert again["rmse"].value == pytest.approx(run.scores["test"]["metrics"]["rmse"]["value"], rel=1e-4)
    (tmp_path / "bad.csv").write_text(f"file,price\n{fruit}/00.png,cheap\n")
    with pytest.raises(TunesmithError, match="has no number for price"):
        ts.evaluate(run, tmp_path / "bad.csv")


def test_several_columns_are_learned_at_once_each_in_its_unit(
    fruit: Path, options: dict[str, Any], tmp_path: Path
) -> None:
    found = ts.fit(
        fruit,
        target="price,weight",
        strategy="linear_probe",
        solver="ridge",
        valid_size=0.25,
        out=tmp_path / "run",
        reporter=Silent(),
        **options,
    )
    assert found is not None
    metrics = found.scores["test"]["metrics"]
    assert found.scores["metric"] == "standardised_rmse"
    assert {"rmse/price", "rmse/weight", "mae/weight", "r2/price", "spearman/price"} <= metrics.keys()
    assert metrics["rmse/weight"]["value"] < 1 < metrics["rmse/price"]["value"] < 40
    row = found.predict([str(fruit / "00.png")])[0]
    assert list(row)[1:4] == ["price", "price low", "price high"]
    assert row["price low"] < row["price"] < row["price high"]
    assert 4.5 < row["weight"] < 6.5


def test_texts_in_groups_are_learned_by_auto(
    stars: Path, tiny_text: Callable[[str], Path], tmp_path: Path
) -> None:
    found = ts.fit(
        stars,
        model=f"hf/{tiny_text('bert')}",
        group="author",
        target="stars",
        strategy="auto",
        epochs=1,
        out=tmp_path / "run",
        reporter=Silent(),
    )
    assert found is not None
    assert found.described["task"] == "text-regression"
    assert found.plan.phases[0].solver == "ridge"
    assert found.ladder[0]["why"] == "first"
    assert "TF-IDF" in found.scores["baselines"]


def test_a_page_shows_the_numbers_of_the_run_and_what_is_farthest_off(run: Run, fruit: Path) -> None:
    content = gather(Run.open(run.folder))
    (column,) = content.own.columns
    rows = run.predictions
    assert column.name == "price"
    assert list(column.truth) == pytest.approx([float(row["truth"]) for row in rows])
    assert list(column.answers) == pytest.approx([row["answer(price)"] for row in rows])
    off = np.abs(np.subtract(column.answers, column.truth))
    assert np.sqrt((off**2).mean()) == pytest.approx(content.test.value)
    known = {**column.known, "test": column.truth}
    assert {split: len(own) for split, own in known.items()} == content.sizes
    assert sum(content.sizes.values()) == 48
    assert [one.id for one in content.own.worst] == [rows[i]["id"] for i in np.argsort(-off)]
    assert all(one.picture and one.heat for one in content.own.worst[:1])
    first = sorted(float(line.split(",")[1]) for line in (fruit / "numbers.csv").read_text().split()[1:])
    assert first[0] <= float(content.examples[0].truth or "") <= float(content.examples[-1].truth or "")
    assert content.own.columns[0].half is None  # 7 validation examples
    page = run_page(content)
    assert "validation has too few examples for an interval" in page
    for lang in ("en", "zh"):
        assert 'id="extremes"' in run_page(content, lang=lang)


def test_runs_of_numbers_are_compared_by_who_is_nearer(run: Run, fruit: Path, tmp_path: Path) -> None:
    probe = ts.fit(
        fruit, target="price", strategy="linear_probe", solver="ridge", out=tmp_path / "probe",
        model="timm/test_resnet@none", image_size=32, engine="eager", device="cpu", reporter=Silent(),
    )  # fmt: skip
    assert probe is not None
    found = ts.compare([probe, run], page=tmp_path / "page.html")
    first, second = found.runs
    gap = second.gaps["rmse"].value
    assert gap == pytest.approx(first.scores["rmse"].value - second.scores["rmse"].value)
    assert set(second.gaps) == {"rmse", "mae", "r2", "pearson", "spearman", "squared_loss"}
    truth = {row["id"]: float(row["truth"]) for row in run.predictions}
    off = [
        {row["id"]: abs(row["answer(price)"] - truth[row["id"]]) for row in own.predictions}
        for own in (probe, run)
    ]
    assert second.only_this == sum(off[1][name] < off[0][name] for name in truth)
    assert second.only_first == sum(off[0][name] < off[1][name] for name in truth)
    assert "nearer to the true number" in (tmp_path / "page.html").read_text()


def test_the_loss_is_kept_with_the_plan_and_told_of_validation(
    fruit: Path, options: dict[str, Any], tmp_path: Path
) -> None:
    found = ts.fit(
        fruit, target="price", loss="huber", epochs=1, keep="trained", baselines="none", replay=False,
        out=tmp_path / "run", reporter=Silent(), **options,
    )  # fmt: skip
    assert found is not None
    assert Run.open(tmp_path / "run").plan.settings.loss == "huber"
    told = found.scores["valid"]["metrics"]
    assert found.history[-1]["valid_loss"] == pytest.approx(told["huber_loss"]["value"], rel=1e-5)
    assert told["huber_loss"]["value"] < told["squared_loss"]["value"] / 2 + 1e-9


def test_networks_for_numbers_are_ranked(
    fruit: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUNESMITH_CACHE", str(tmp_path))  # or later fits would compare with what is kept
    found = ts.rank(
        fruit,
        target="price",
        models="timm/test_resnet@none,timm/test_vit@none",
        image_size=160,
        engine="eager",
        offline=True,
        reporter=Silent(),
    )
    assert {row.model for row in found.rows} == {"timm/test_resnet@none", "timm/test_vit@none"}
    assert found.classes == 0
    assert -1 < found.best.accuracy.value < 1


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"balance": "weights"}, "there are no classes here"),
        ({"label_smoothing": 0.1}, "label_smoothing is for classes"),
        ({"strategy": "linear_probe", "solver": "lbfgs"}, "use 'ridge'"),
        ({"strategy": "linear_probe", "solver": "ridge", "loss": "mae"}, "no phase takes steps"),
        ({"loss": "cross_entropy"}, "knows no loss 'cross_entropy'; it knows mse, mae, huber"),
        ({"metric": "accuracy"}, "no metric named 'accuracy'"),
    ],
)
def test_what_is_for_classes_is_refused_before_a_folder_appears(
    asked: dict[str, Any], said: str, fruit: Path, options: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(TunesmithError, match=said):
        ts.fit(fruit, target="price", out=tmp_path / "run", reporter=Silent(), **options, **asked)
    assert not (tmp_path / "run").exists()


def test_pairs_of_texts_need_classes(stars: Path, tiny_text: Callable[[str], Path], tmp_path: Path) -> None:
    with pytest.raises(TunesmithError, match="needs classes, and text-regression has none"):
        ts.fit(
            stars, target="stars", model=f"hf/{tiny_text('bert')}", strategy="contrastive",
            out=tmp_path / "run", reporter=Silent(),
        )  # fmt: skip


def test_an_example_of_weight_nothing_is_not_learned(
    fruit: Path, options: dict[str, Any], tmp_path: Path
) -> None:
    """A probe on data half of which lie, but weigh nothing, is the probe on the others."""
    lines = (fruit / "numbers.csv").read_text().splitlines()[1:]
    rows, split = [], ["train"] * 36 + ["valid"] * 6 + ["test"] * 6
    for line, own in zip(lines, split, strict=True):
        name, price, _ = line.split(",")
        rows.append(f"{fruit}/{name},{price},1,{own}")
        if own == "train":
            rows.append(f"{fruit}/{name},{1000 - float(price):.3f},0,{own}")
    (tmp_path / "lies.csv").write_text("file,price,trust,split\n" + "\n".join(rows))
    usual: dict[str, Any] = {
        **options,
        "strategy": "linear_probe",
        "solver": "ridge",
        "keep": "trained",
        "target": "price",
    }
    errors = {}
    for name, weight in {"weighed": "trust", "not": None}.items():
        found = ts.fit(tmp_path / "lies.csv", out=tmp_path / name, reporter=Silent(), weight=weight, **usual)
        assert found is not None
        errors[name] = found.scores["test"]["metrics"]["rmse"]["value"]
    assert errors["weighed"] < 40 < errors["not"]


def test_a_network_that_learns_nothing_is_said(seed: int) -> None:
    from tunesmith.tasks.task import Labels
    from tunesmith.training.supervisor import beats_chance, found_wrong

    random = np.random.default_rng(seed)
    target = random.normal(size=(100, 1))
    labels = Labels(("y",), means=(0.0,), spreads=(1.0,))

    def said(answer: np.ndarray, loss: float) -> str | None:
        outcomes = {"target": target, "answer": answer}
        found = found_wrong(outcomes, target, labels, None, None, 0.0, loss)
        return None if found is None else found[0]

    assert said(np.full((100, 1), 0.3), 1.0) == "one number"
    assert said(random.normal(size=(100, 1)), 1.0) == "dead"
    assert said(0.7 * target, 0.1) is None
    assert said(np.full((100, 1), 0.3), 0.5) is None  # training has learned something
    assert beats_chance({"target": target, "answer": 0.7 * target})
    assert not beats_chance({"target": target, "answer": 0 * target})


def test_a_check_of_numbers_lists_what_is_odd(fruit: Path, tmp_path: Path) -> None:
    lines = (fruit / "numbers.csv").read_text().splitlines()
    rows = [f"{fruit}/{line}" for line in lines[1:]]
    rows += [f"{fruit}/00.png,1,5.5", f"{fruit}/01.png,12 kg,5.5"]
    rows[7] = f"{fruit}/07.png,98765,5"
    (tmp_path / "a.csv").write_text("\n".join([lines[0], *rows]))
    found = ts.check(tmp_path / "a.csv", target="price", page=tmp_path / "en.html", reporter=Lines())
    by_kind = {one.kind: one for one in found.findings}
    assert "imbalance" not in by_kind
    assert by_kind["outlying_numbers"].groups[0][0].id.endswith("07.png")
    assert by_kind["byte_equal_two_labels"].groups[0][0].id.endswith("00.png")
    assert "with a unit inside" in by_kind["no_number"].groups[0][0].note
    assert set(found.counts) == {"price"}
    json.dumps(found.facts)
    stream = io.StringIO()
    draw(found, console=Console(file=stream, width=200))
    page = re.sub(r"<style>.*?</style>|<[^>]*>", " ", (tmp_path / "en.html").read_text(), flags=re.DOTALL)
    chinese = health_page(found, lambda _: None, lambda _: None, lang="zh")
    for said in (stream.getvalue(), page):
        assert "class" not in said.lower()
        assert "under more than one label" not in said
        assert "with different numbers" in said
    assert "49 pictures with numbers: price." in page
    assert "类别" not in chinese
    assert "数值不同" in chinese
