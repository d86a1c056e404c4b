"""A whole fit that leaves it to evidence which stages train: what it decides, keeps, says and resumes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import tunesmith as ts
from tunesmith.errors import BadData
from tunesmith.tasks import TASKS
from tunesmith.verbs.carrying_out import plan_for
from tunesmith.verbs.fit import DEFAULTS
from tunesmith.verbs.planning import with_strategy
from tunesmith.verbs.reporting import Silent

Ask = Callable[..., dict[str, Any]]
Answer = Any
MODEL = "timm/test_resnet@none"
TINY = ("--model", MODEL, "--image-size", 32, "--batch", 8, "--engine", "eager", "--device", "cpu")
OPTIONS: dict[str, Any] = {
    "model": MODEL,
    "image_size": 32,
    "batch": 8,
    "epochs": 1,
    "lr": 0.01,
    "engine": "eager",
    "device": "cpu",
}


def outcome(folder: Path) -> str:
    """A digest of what a run is worth: weights, answers, plan, epochs and rungs, but for times."""
    total = hashlib.sha256()
    for name in ("model/weights.safetensors", "predictions.parquet", "plan.json"):
        total.update((folder / name).read_bytes())
    rows = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    if (folder / "ladder.json").is_file():
        rows += json.loads((folder / "ladder.json").read_text())["rungs"]
    for row in rows:
        total.update(json.dumps({k: v for k, v in row.items() if k != "seconds"}).encode())
    return total.hexdigest()


@pytest.fixture(scope="module")
def trained() -> list[str]:
    """A phase's name for every fold that the run of `few` trained."""
    return []


@pytest.fixture(scope="module")
def few(photos: Path, tmp_path_factory: pytest.TempPathFactory, trained: list[str]) -> ts.Run:
    """A run of auto on 34 training pictures."""
    from tunesmith.choosing import ladder
    from tunesmith.choosing.folds import climbed

    def counted(*arguments: Any, **options: Any) -> Any:
        trained.append(options["phases"][-1].name)
        return climbed(*arguments, **options)

    out = tmp_path_factory.mktemp("auto") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ladder, "climbed", counted)
        run = ts.fit(str(photos), strategy="auto", out=out, reporter=Silent(), **OPTIONS)
    assert run is not None
    return run


@pytest.fixture(scope="module")
def ladder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A plan whose rungs validation decides on, as for a thousand training pictures."""
    from tunesmith.verbs.looking import plan

    path = tmp_path_factory.mktemp("plan") / "plan.json"
    made = plan(model=MODEL, strategy="auto", epochs=2, lr=0.01).plan
    path.write_text(replace(made, settings=replace(made.settings, batch=8)).to_json())
    return path


def test_with_few_examples_folds_decide_and_what_they_took_trains(few: ts.Run) -> None:
    rungs = few.ladder
    assert rungs[0]["why"] == "first"
    taken = [rung["name"] for rung in rungs if rung["taken"]]
    assert [phase.name for phase in few.plan.phases] == taken
    assert {row["phase"] for row in few.history} == set(taken)
    assert sum("rung " in note for note in few.plan.notes) == len(rungs)
    judged = [rung for rung in rungs if rung["why"] in ("gain", "no_gain")]
    assert judged
    assert all(rung["taken"] == (rung["gain"] > rung["error"]) for rung in judged)


def test_the_same_command_decides_and_ends_the_same(few: ts.Run, photos: Path, tmp_path: Path) -> None:
    again = ts.fit(str(photos), strategy="auto", out=tmp_path / "run", reporter=Silent(), **OPTIONS)
    assert again is not None
    assert outcome(again.folder) == outcome(few.folder)
    other = ts.fit(str(photos), strategy="auto", out=tmp_path / "x", reporter=Silent(), **OPTIONS, seed=1)
    assert other is not None
    assert outcome(other.folder) != outcome(few.folder)  # or the digest is blind


@pytest.mark.parametrize("better", ["fine-tuned network", "linear probe"])
def test_with_few_examples_folds_decide_what_is_kept(
    better: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tunesmith.choosing import ladder
    from tunesmith.verdicts import keeping

    asked = []

    def decided(task: Any, candidates: Any, targets: Any, *others: Any, **options: Any) -> Any:
        asked.append((len(targets), [len(one.answers) for one in candidates]))
        chosen = next(one for one in candidates if one.what == better)
        return keeping.Decision(chosen.what, None, "kept.", {}, options["where"])

    monkeypatch.setattr(ladder, "gap", lambda *_: 0.5)
    monkeypatch.setattr("tunesmith.training.rungs.paired_gain", lambda *_: (0.5, 0.1))
    monkeypatch.setattr(keeping, "decide", decided)
    run = ts.fit(str(photos), strategy="auto", out=tmp_path / "run", reporter=Silent(), **OPTIONS)
    assert run is not None
    assert asked == [(34, [34, 34])]
    assert run.scores["kept"]["where"] == "out of fold"
    assert run.scores["kept"]["what"] == better
    moved = [row["distance"] > 0 for row in json.loads((run.folder / "facts.json").read_text())["moved"]]
    # Of a trained network validation kept the best epoch, and on pictures so few that may be the head's.
    assert any(moved) == (run.scores["kept"]["phase"] not in (None, "head"))
    assert (run.scores["kept"]["phase"] is None) == (better == "linear probe")


def test_a_head_that_is_to_be_kept_goes_on_learning_and_is_not_solved(photos: Path) -> None:
    data, task = ts.read(photos), TASKS.load("image-classification")()
    labels = task.labels(data)
    for head, solver in (("linear", "lbfgs"), ("pretrained", None)):
        network = ts.load(MODEL, task.want(labels, image_size=32, head=head))
        plan = plan_for({**DEFAULTS, "strategy": "auto", "head": head}, network, data, labels, task)
        assert plan.phases[0].solver == solver


def test_how_long_the_folds_may_take_is_said_before_they_begin(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tunesmith.choosing import ladder

    class Heard(Silent):
        def say(self, line: str) -> None:
            said.append(line)

    def enough(*_: Any, **__: Any) -> Any:
        raise BadData("nothing more is asked of this fit")

    said: list[str] = []
    monkeypatch.setattr(ladder, "costs", lambda plan, *_, **__: [None, *[60.0] * (len(plan.phases) - 1)])
    monkeypatch.setattr(ladder, "climb", enough)
    with pytest.raises(BadData, match="nothing more"):
        ts.fit(
            str(photos), strategy="auto", out=tmp_path / "run", reporter=Heard(), unfreeze=[1, 2], **OPTIONS
        )
    (line,) = [line for line in said if "folds decide" in line]
    assert "so 5 folds decide on each rung, in about 10m00s at most" in line  # 5 folds, two rungs of a minute


def test_the_report_shows_the_rungs(few: ts.Run) -> None:
    page = few.report(out=few.folder / "report.html").read_text(encoding="utf-8")
    assert "How far it climbed" in page
    assert "the ladder begins here" in page


def test_every_rung_is_said(
    tunesmith: Callable[..., Answer], photos: Path, tmp_path: Path, ladder: Path
) -> None:
    answer = tunesmith("fit", photos, *TINY, "--plan", ladder, "--out", tmp_path / "run")
    assert answer.code == 0, answer.err
    said = [line for line in answer.err.splitlines() if line.startswith("rung ")]
    run = ts.Run.open(tmp_path / "run")
    assert len(said) == sum(rung["why"] not in ("first", "not_reached") for rung in run.ladder)
    assert "gain" in said[0]


def test_a_run_killed_on_a_rung_resumes_to_the_same_bits(
    ask: Ask, photos: Path, tmp_path: Path, ladder: Path
) -> None:
    options = {**OPTIONS, "data": str(photos), "plan": str(ladder)}
    assert ask("fit", **options, out=str(tmp_path / "whole")) == {"killed": False, "code": 0}
    assert len(ts.Run.open(tmp_path / "whole").history) > 1
    for moment in (("step", 7), ("phase", 2), ("predict", 3)):
        run = tmp_path / moment[0]
        assert ask("fit", moment, **options, out=str(run))["killed"]
        assert ask("resume", run=str(run)) == {"killed": False, "code": 0}
        assert outcome(run) == outcome(tmp_path / "whole"), moment


def test_a_run_that_folds_decided_on_resumes_without_deciding_again(
    ask: Ask, few: ts.Run, trained: list[str], photos: Path, tmp_path: Path
) -> None:
    first = len(trained) + 1  # phase of the fit itself
    options = {**OPTIONS, "data": str(photos), "strategy": "auto", "out": str(tmp_path / "run")}
    assert ask("fit", ("phase", first), **options)["killed"]
    assert (tmp_path / "run" / "ladder.json").is_file()
    assert ask("resume", ("phase", first), run=str(tmp_path / "run")) == {"killed": False, "code": 0}
    assert outcome(tmp_path / "run") == outcome(few.folder)


def test_a_dry_run_shows_the_ladder_and_trains_nothing(
    tunesmith: Callable[..., Answer], photos: Path, tmp_path: Path
) -> None:
    answer = tunesmith("fit", photos, *TINY, "--strategy", "auto", "--dry-run", "--out", tmp_path / "run")
    assert answer.code == 0, answer.err
    assert "rung full: about" in answer.err
    assert "(if it gains)" in answer.err
    assert not (tmp_path / "run").exists()


def test_surgical_auto_trains_one_block_and_says_why(ask: Ask, photos: Path, tmp_path: Path) -> None:
    options = {**OPTIONS, "data": str(photos), "strategy": "surgical", "unfreeze": "auto"}
    assert ask("fit", **options, out=str(tmp_path / "whole")) == {"killed": False, "code": 0}
    plan = ts.Run.open(tmp_path / "whole").plan
    trained = [i for i, lr in enumerate(plan.phases[0].lrs[:-1]) if lr > 0]
    assert trained == list(range(trained[0], trained[-1] + 1))
    assert len(trained) == max(1, round(plan.stages / 4))
    assert "the data pull hardest" in plan.notes[0]
    assert ask("fit", ("step", 2), **options, out=str(tmp_path / "killed"))["killed"]
    assert ask("resume", run=str(tmp_path / "killed")) == {"killed": False, "code": 0}
    assert outcome(tmp_path / "killed") == outcome(tmp_path / "whole")


def test_one_group_to_learn_from_leaves_it_to_validation(
    tunesmith: Callable[..., Answer], tiny_text: Callable[[str], Path], tmp_path: Path
) -> None:
    lines = ["text,label,who,part"]
    for i in range(60):
        said, part = ("bad", "good")[i % 2], ("train", "train", "valid", "test")[i // 2 % 4]
        lines.append(f"this is {said} number {i},{said},author of {part},{part}")
    (tmp_path / "grouped.csv").write_text("\n".join(lines) + "\n")
    answer = tunesmith(
        "fit", tmp_path / "grouped.csv", "--model", f"hf/{tiny_text('bert')}", "--group", "who",
        "--split", "part", "--epochs", 1, "--device", "cpu", "--engine", "eager",
        "--out", tmp_path / "run",
    )  # fmt: skip
    assert answer.code == 0, answer.err
    assert "need two groups or more" in answer.err
    assert "The validation split decides alone." in answer.err
    run = ts.Run.open(tmp_path / "run")
    assert run.plan.phases[1].must_gain
    assert run.asked["strategy"] == "auto"  # which nobody named


@pytest.mark.parametrize(
    ("given", "strategy", "said"),
    [
        ({}, "auto", None),
        ({"head": "mlp", "decay": 0.9, "patience": 3, "parts": "norm", "solver": "ridge"}, "auto", None),
        ({"strategy": "full", "lr": "auto"}, "full", None),
        ({"lr": "auto"}, "lp_ft", "strategy: lp_ft, for lr 'auto' measures"),
        ({"model": "timm/x@none"}, "lp_ft", "strategy: lp_ft, for random weights have"),
        ({"plan": "plan.json", "unfreeze": 2}, "lp_ft", None),  # the plan decides
    ],
)
def test_a_fit_that_names_no_strategy_takes_auto_where_it_can_be(
    given: dict[str, Any], strategy: str, said: str | None
) -> None:
    asked, reason = with_strategy({**DEFAULTS, "model": "timm/x", **given})
    assert asked["strategy"] == strategy
    assert (reason or "").startswith(said or "")
    assert (reason is None) == (said is None)
    assert {**asked, "strategy": given.get("strategy")} == {**DEFAULTS, "model": "timm/x", **given}


def test_the_strategy_that_is_taken_instead_is_said_and_kept(
    tunesmith: Callable[..., Answer], photos: Path, tmp_path: Path
) -> None:
    answer = tunesmith("fit", photos, *TINY, "--epochs", 1, "--out", tmp_path / "run")
    assert answer.code == 0, answer.err
    assert "strategy: lp_ft, for random weights have no features yet" in answer.err
    assert ts.Run.open(tmp_path / "run").asked["strategy"] == "lp_ft"


@pytest.mark.parametrize("stages", ["layer4", "2", "auto"])
def test_stages_without_a_strategy_are_refused_with_what_to_name(
    stages: str, tunesmith: Callable[..., Answer], photos: Path
) -> None:
    answer = tunesmith("fit", photos, *TINY, "--unfreeze", stages)
    assert answer.code == 2
    assert f"unfreeze='{stages}' needs a strategy that says what it means: 'top'" in answer.err


def test_a_time_limit_below_one_pass_leaves_the_head(photos: Path, tmp_path: Path) -> None:
    run = ts.fit(
        str(photos), strategy="auto", time_limit=0.001, out=tmp_path / "run", reporter=Silent(), **OPTIONS
    )
    assert run is not None
    assert [rung["why"] for rung in run.ladder][:2] == ["first", "too_long"]
    assert {rung["why"] for rung in run.ladder[2:]} <= {"not_reached"}
    assert [phase.name for phase in run.plan.phases] == ["head"]


def test_rungs_that_are_no_numbers_are_refused(tunesmith: Callable[..., Answer], photos: Path) -> None:
    answer = tunesmith("fit", photos, *TINY, "--strategy", "auto", "--unfreeze", "layer4")
    assert answer.code == 2
    assert "how many of the last stages train in each rung: 1,4,12; found 'layer4'" in answer.err
