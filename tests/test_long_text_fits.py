"""Texts that are longer than the network's window, read whole: what stands at their end is learned."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
import torch

import tunesmith as ts
from tunesmith.errors import BadOption
from tunesmith.networks.preprocess import ImagePreprocess
from tunesmith.plan import Phase, Plan
from tunesmith.runs import Run
from tunesmith.store import Store
from tunesmith.tasks.image_classification import ImageClassification
from tunesmith.tasks.task import Labels
from tunesmith.tasks.text_classification import TextClassification
from tunesmith.training import precision
from tunesmith.training.examples import Examples
from tunesmith.training.feeds import Feed
from tunesmith.training.predicting import predict
from tunesmith.training.recorded import Recorded
from tunesmith.training.solving import answers_of, linear_head, probe_head
from tunesmith.verbs.loading import load_network
from tunesmith.verbs.looking import plan
from tunesmith.verbs.reporting import Lines, Silent
from tunesmith.verbs.understanding import refuse_windows

Rows = list[tuple[Any, ...]]
FILLERS = ("town", "lives", "in", "which", "what", "who")


def filler(random: np.random.Generator, count: int) -> str:
    return " ".join(random.choice(FILLERS, count))


def tails(count: int = 150, *, seed: int = 0) -> Rows:
    """Texts of 5 to 130 tokens whose last words alone say dog or cat; every fifth is short."""
    random = np.random.default_rng(seed)
    rows: Rows = []
    for i in range(count):
        pet = ("dog", "cat")[i % 2]
        long = filler(random, int(random.integers(60, 120))) if i % 5 else "town"
        rows.append((f"{long} ann has a {pet} {pet} {pet}", pet))
    return rows


def long_ones(rows: Rows) -> Rows:
    return [row for row in rows if len(row[0].split()) > 50]


def fitted(rows: Any, model: Path, out: Path, **options: Any) -> Run:
    usual = {"strategy": "linear_probe", "solver": "lbfgs", "device": "cpu", "reporter": Silent()}
    found = ts.fit(rows, model=f"hf/{model}?pooling=mean", out=out, **{**usual, **options})
    assert found is not None
    return found


def accuracy(run: Run, rows: Rows) -> float:
    answers = run.predict([row[0] for row in rows], device="cpu")
    return float(np.mean([own["label"] == row[1] for own, row in zip(answers, rows, strict=True)]))


@pytest.fixture(scope="module")
def windows(tiny_reader: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("runs") / "windows"
    return fitted(tails(), tiny_reader, folder, long_texts="windows")


def test_what_stands_at_the_end_is_learned_in_windows_and_lost_where_texts_are_cut(
    windows: Run, tiny_reader: Path, tmp_path: Path
) -> None:
    cut = fitted(tails(), tiny_reader, tmp_path / "cut")
    unseen = long_ones(tails(200, seed=1))
    assert accuracy(windows, unseen) > 0.95
    assert accuracy(cut, unseen) < 0.65


def test_a_probe_of_mean_features_says_what_the_network_with_it_says_joined(
    tiny_reader: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = tails(40)
    task: Any = TextClassification()
    columns = {"id": [f"{i}" for i in range(40)], "item": [r[0] for r in rows], "label": [r[1] for r in rows]}
    dataset, labels = datasets.Dataset.from_dict(columns), Labels(("cat", "dog"), (20, 20))
    network = load_network(f"hf/{tiny_reader}?pooling=mean", task.want(labels, long_texts="windows"))
    store = Store(tmp_path / "store")
    examples = Examples(dataset, network.preprocess, store, task=task)
    recorded = Recorded(network, store, {}, examples, engine="eager")
    recorded.fill(examples)
    every, targets = np.arange(40), np.asarray(task.targets(dataset, labels))
    features = recorded.pooled(examples)
    assert features.shape[0] == 40 < len(examples)
    assert np.array_equal(recorded.pooled(examples, every[::-3]), features[::-3])
    for _ in range(2):  # the second time as the store keeps it
        head = probe_head(recorded, examples, targets, 2, rows=every)
    layer = linear_head(network)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(head.weights.T.copy()))
        layer.bias.copy_(torch.from_numpy(head.bias))
    said = np.stack(predict(network, task, Feed(examples), labels, batch=8))
    assert said == pytest.approx(np.stack(answers_of(head, recorded, examples)), abs=1e-5)
    first = Examples(dataset, replace(network.preprocess, long_texts="cut"), task=task)  # type: ignore[type-var]
    assert said != pytest.approx(np.stack(predict(network, task, Feed(first), labels, batch=8)), abs=1e-2)
    monkeypatch.setattr(precision, "ASKED", 20)
    asked: dict[str, Any] = {"engine": "eager", "seed": 0}
    _, why = precision.precision_that_agrees(network, store, examples, targets, **asked)
    assert "of 20 answers of a probe" in why
    recorded.close()
    examples.close()


def test_the_run_remembers_how_it_reads(windows: Run, tmp_path: Path) -> None:
    again = Run.open(windows.folder)
    texts = [row[0] for row in tails(20, seed=2)]
    first, second = windows.predict(texts, device="cpu"), again.predict(texts, device="cpu")
    assert [row["label"] for row in first] == [row["label"] for row in second]
    assert len(first) == len(texts)
    assert [row["probability"] for row in first] == pytest.approx([row["probability"] for row in second])
    scores = ts.evaluate(again, tails(40, seed=2), device="cpu")
    assert scores["accuracy"].value == accuracy(windows, tails(40, seed=2))
    assert "are read in windows that overlap" in (windows.folder / "model" / "README.md").read_text()


def test_a_run_that_is_trained_on_reads_as_it_is_asked_to(windows: Run) -> None:
    for how in ("cut", "windows"):
        network = load_network(windows.folder, TextClassification().want(windows.model[2], long_texts=how))
        assert network.preprocess.long_texts == how  # type: ignore[attr-defined]


def test_it_is_said_how_many_texts_are_read_in_windows_and_what_helps_where_they_are_cut(
    windows: Run, tiny_reader: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    long, short = tails(2)[1][0], tails(1)[0][0]
    ts.predict(windows, [long, short], device="cpu", reporter=Lines())
    assert "1 of 2 texts are longer than 48 tokens, and are read in 4 windows" in capsys.readouterr().err
    ts.fit(tails(), model=f"hf/{tiny_reader}", dry_run=True, reporter=Lines(), strategy="full")
    said = capsys.readouterr().err
    assert "longer than 48 tokens, and are cut there; --long-texts windows reads all of them" in said
    ts.fit(
        tails(),
        model=f"hf/{tiny_reader}",
        dry_run=True,
        reporter=Lines(),
        strategy="full",
        long_texts="windows",
    )
    said = capsys.readouterr().err
    assert "are read in" in said
    assert "cut" not in said.replace("cuts", "")


def test_where_every_text_fits_windows_change_no_bit(tiny_reader: Path, tmp_path: Path) -> None:
    rows = [(f"ann has a {('dog', 'cat')[i % 2]} in {'town ' * (i % 7)}", "xy"[i % 2]) for i in range(60)]
    options: dict[str, Any] = {"strategy": "lp_ft", "solver": None, "epochs": 2, "keep": "trained"}
    one = fitted(rows, tiny_reader, tmp_path / "cut", **options)
    two = fitted(rows, tiny_reader, tmp_path / "windows", **options, long_texts="windows")
    other = fitted(rows, tiny_reader, tmp_path / "other", **options, seed=1)
    bits = [(run.folder / "model" / "weights.safetensors").read_bytes() for run in (one, two, other)]
    assert bits[0] == bits[1]
    assert bits[0] != bits[2]  # or the files say nothing
    assert one.scores["test"] == two.scores["test"]
    assert one.scores["baselines"] == two.scores["baselines"]


PLANS: list[dict[str, Any]] = [
    {"strategy": "auto", "unfreeze": "1"},
    {"strategy": "lp_ft", "balance": "weights", "baselines": "all"},
    {"strategy": "full", "balance": "sampler"},
    {"strategy": "surgical", "unfreeze": "auto"},
    {"strategy": "top", "lr": "auto", "unfreeze": 1},
]


@pytest.mark.parametrize("options", PLANS, ids=lambda options: str(options["strategy"]))
def test_every_strategy_takes_examples_that_are_several_windows(
    options: dict[str, Any], tiny_reader: Path, tmp_path: Path
) -> None:
    rows = tails(60)
    if options["strategy"] == "full":
        options = {**options, "beside": f"hf/{tiny_reader}?pooling=cls"}
    own = fitted(
        rows,
        tiny_reader,
        tmp_path / "run",
        **{"solver": None, "epochs": 1, "long_texts": "windows", **options},
    )
    assert own.scores["test"]["count"] == len(own.predictions) < 20
    assert all(0 < part["count"] < 20 for part in own.scores["baselines"].values())


def test_a_probe_that_is_kept_scores_as_it_did_before_it_was_the_head(
    tiny_reader: Path, tmp_path: Path
) -> None:
    options: dict[str, Any] = {"solver": "ridge", "keep": "probe", "long_texts": "windows"}
    own = fitted(long_ones(tails(100)), tiny_reader, tmp_path / "run", **options)
    assert own.scores["kept"]["what"] == "linear probe"
    kept, probe = (
        part["metrics"]["log_loss"]["value"]
        for part in (own.scores["test"], own.scores["baselines"]["linear probe"])
    )
    assert kept == pytest.approx(probe, rel=1e-4)
    assert own.scores["test"]["metrics"]["accuracy"]["value"] > 0.9


def test_numbers_of_pairs_whose_longer_text_ends_with_them(tiny_reader: Path, tmp_path: Path) -> None:
    random = np.random.default_rng(0)

    def drawn(count: int) -> list[dict[str, Any]]:
        rows = []
        for i in range(count):
            dogs = int(random.integers(0, 7))
            long = f"{filler(random, 70)} {'dog ' * dogs}{'cat ' * (6 - dogs)}"
            pair = ("who", long) if i % 2 else (long, "who")
            rows.append({"s1": pair[0], "s2": pair[1], "score": dogs + i / 10_000})
        return rows

    rows, unseen = drawn(200), drawn(60)
    options: dict[str, Any] = {"solver": "ridge", "baselines": "none"}
    windows = fitted(rows, tiny_reader, tmp_path / "windows", **options, long_texts="windows")
    cut = fitted(rows, tiny_reader, tmp_path / "cut", **options)
    assert windows.described["task"] == "text-pair-regression"
    asked = [(row["s1"], row["s2"]) for row in unseen]
    truth = np.asarray([row["score"] for row in unseen])

    def correlation(run: Run) -> float:
        own = [row["score"] for row in run.predict(asked, device="cpu")]
        return float(np.corrcoef(own, truth)[0, 1])

    assert correlation(windows) > 0.9
    assert correlation(cut) < 0.5


def test_a_ranking_and_a_look_at_the_stages_read_windows_too(tiny_reader: Path) -> None:
    rows, model = long_ones(tails()), f"hf/{tiny_reader}?pooling=mean"
    read, lost = (
        plan(rows, model=model, long_texts=how, reporter=Silent()).evidence[-2].probe
        for how in ("windows", "cut")
    )
    assert read is not None
    assert lost is not None
    assert read > 0.95
    assert lost < 0.7
    ranked = ts.rank(rows, models=model, long_texts="windows", reporter=Silent())
    assert ranked.best.model == model


@pytest.mark.parametrize("to", ["onnx", "transformers"])
def test_an_export_says_that_it_cuts(
    to: str, windows: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = ts.export(windows, to=to, out=tmp_path / "out", reporter=Lines())
    said = "reads long texts in windows and joins their answers"
    assert said in capsys.readouterr().err
    assert said in (folder / "README.md").read_text(encoding="utf-8")


def test_what_cannot_be_read_in_windows_is_refused_before_a_network_loads(
    riddles: Callable[..., Path], tmp_path: Path
) -> None:
    def refused(data: Any, **options: Any) -> str:
        with pytest.raises(BadOption) as error:
            ts.fit(data, model="hf/no-such-network", out=tmp_path / "run", reporter=Silent(), **options)
        return str(error.value)

    windows: dict[str, Any] = {"long_texts": "windows"}
    assert "long_texts must be one of cut, windows; found 'whole'" in refused(tails(), long_texts="whole")
    assert "always reads all of a long text" in refused(riddles(), **windows)
    assert "compares texts as one vector each" in refused(tails(), strategy="contrastive", **windows)
    photos: Any = ImageClassification()
    pairs = Plan("contrastive", (Phase("pairs", 1, (1e-5, 1e-5), loss="contrastive", solver="lbfgs"),))
    assert "compares texts as one vector each" in refused(tails(), plan=pairs, **windows)
    with pytest.raises(BadOption, match="is for texts, and image-classification takes images"):
        refuse_windows(windows, photos)
    own = ts.network(
        torch.nn.Linear(3, 2), example={"input": torch.zeros(1, 3)}, preprocess=ImagePreprocess(8, 8)
    )
    with pytest.raises(BadOption, match="in a way of its own, which knows no windows"):
        load_network(own, TextClassification().want(Labels(("a", "b")), **windows))
