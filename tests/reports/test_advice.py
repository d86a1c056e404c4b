"""Advice comes of a run's own numbers, and of nothing else; every sentence can be said in two languages."""

from __future__ import annotations

import shlex
import string
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

import tunesmith as ts
from tunesmith.health.finding import Finding, Health
from tunesmith.plan import Phase, Plan, Settings
from tunesmith.reports.advice import Facts, advise
from tunesmith.reports.advice_words import ADVICE, MISSING
from tunesmith.reports.content import Advice, Calibration, OfClasses
from tunesmith.reports.kinds.classes_advice import classes_advice
from tunesmith.tasks.named import task
from tunesmith.tasks.task import Labels
from tunesmith.verbs.again import drew_test, fit_takes, read_from
from tunesmith.verbs.carrying_out import plan_for
from tunesmith.verbs.fit import DEFAULTS
from tunesmith.verbs.planning import with_strategy

LABELS = ("glass", "metal", "paper")


def scored(value: float, *, half: float = 0.03, f1: tuple[float, ...] = (0.9, 0.9, 0.9)) -> dict[str, Any]:
    score = {"value": value, "low": value - half, "high": value + half}
    classes = {f"f1/{name}": {**score, "value": v} for name, v in zip(LABELS, f1, strict=True)}
    return {
        "count": 300,
        "metrics": {"accuracy": score, **classes},
        "confusion": [[90, 5, 5], [5, 90, 5], [5, 5, 90]],
    }


def healthy() -> Facts:
    """A run of which nothing is to be said."""
    rows = [
        {"phase": "full", "epoch": i, "train_loss": 0.5 / i, "valid_loss": 0.4 / min(i, 2)} for i in (1, 2, 3)
    ]
    return Facts(
        run="runs/a",
        data="photos",
        takes="image",
        labels=LABELS,
        plan=Plan("full", (Phase("full", 3, (1e-4, 1e-3)),)),
        given=False,
        asked={},
        drawn=True,
        works=lambda _: True,
        history=rows,
        scores={
            "metric": "accuracy",
            "kept": {"phase": "full", "epoch": 2},
            "ended": "plan",
            "valid": scored(0.91),
            "test": scored(0.9),
            "difference": {"baseline": "linear probe", "value": 0.05, "low": 0.02, "high": 0.08},
        },
        health=Health("photos", "image", (), {}, ()),
    )


def of_classes(counts: tuple[int, ...] = (100, 100, 100), **calibration: Any) -> OfClasses:
    usual: dict[str, Any] = {"ece": 0.02, "temperature": 1.1, "after_ece": 0.015}
    found = Calibration(bins=(), after_bins=(), **{**usual, **calibration})
    return OfClasses({name: {"train": n} for name, n in zip(LABELS, counts, strict=True)}, found, ())


def with_scores(**changes: Any) -> Facts:
    facts = healthy()
    return replace(facts, scores={**facts.scores, **changes})


def with_finding(kind: str) -> Facts:
    health = Health("photos", "image", (), {}, (Finding(kind, "warning", {}, (), 7),))
    return replace(healthy(), health=health)


def difference(low: float, high: float) -> dict[str, Any]:
    return {"baseline": "linear probe", "value": (low + high) / 2, "low": low, "high": high}


TROUBLED = {
    "leaked": with_scores(without_duplicates={"count_left_out": 3}),
    "two_labels": with_finding("byte_equal_two_labels"),
    "suspected_labels": with_finding("suspected_labels"),
    "test_below_valid": with_scores(valid=scored(0.99)),
    "few_tested": with_scores(test=scored(0.9, half=0.1)),
    "worse_than_probe": with_scores(difference=difference(-0.1, -0.02)),
    "no_better_than_probe": with_scores(difference=difference(-0.02, 0.04)),
    "out_of_time": with_scores(ended="time limit"),
    "learned_by_heart": replace(
        healthy(), history=[{"phase": "full", "epoch": 2, "train_loss": 0.1, "valid_loss": 0.9},
                            {"phase": "full", "epoch": 3, "train_loss": 0.1, "valid_loss": 0.9}],
    ),
    "best_was_last": with_scores(kept={"phase": "full", "epoch": 3}),
    "rare_weak": with_scores(test=scored(0.9, f1=(0.9, 0.9, 0.4))),
    "confused_pair": with_scores(test={**scored(0.9), "confusion": [[90, 10, 0], [1, 99, 0], [0, 1, 99]]}),
    "too_sure": healthy(),
    "not_sure_enough": healthy(),
}  # fmt: skip
OWN = {
    "rare_weak": of_classes((100, 100, 12)),
    "too_sure": of_classes(ece=0.12, temperature=1.9, after_ece=0.02),
    "not_sure_enough": of_classes(ece=0.12, temperature=0.6, after_ece=0.02),
}


def advised(facts: Facts, kind: str = "") -> tuple[Advice, ...]:
    """All that is advised to a run of classes; kind: of the trouble, where it lies in what is of classes."""
    return (*advise(facts), *classes_advice(facts, OWN.get(kind, of_classes())))


def test_a_healthy_run_is_advised_nothing() -> None:
    assert advised(healthy()) == ()


@pytest.mark.parametrize("kind", TROUBLED)
def test_a_trouble_brings_its_advice_and_no_other(kind: str) -> None:
    assert [advice.kind for advice in advised(TROUBLED[kind], kind)] == [kind]


@pytest.mark.parametrize("kind", TROUBLED)
@pytest.mark.parametrize("lang", ["en", "zh"])
def test_every_advice_can_be_said(kind: str, lang: str) -> None:
    (advice,) = advised(TROUBLED[kind], kind)
    sentence = ADVICE[kind][lang].format(**advice.values)
    assert "{" not in sentence
    assert isinstance(advice.values["command"], str)
    named = [name for _, name, _, _ in string.Formatter().parse(ADVICE[kind][lang]) if name]
    assert set(named) <= set(advice.values)


def test_every_sentence_is_there_in_both_languages_and_used() -> None:
    assert set(ADVICE) == set(TROUBLED)
    assert all(set(words) == {"en", "zh"} for words in (*ADVICE.values(), *MISSING.values()))


def test_what_bounds_every_network_comes_first() -> None:
    facts = with_scores(difference=difference(-0.02, 0.04), without_duplicates={"count_left_out": 3})
    assert [advice.kind for advice in advise(facts)] == ["leaked", "no_better_than_probe"]


def test_commands_are_options_that_fit_takes() -> None:
    """Each command begins with the run's own options and changes one thing."""
    import typer.main

    from tunesmith.cli.app import app

    fit = typer.main.get_command(app).commands["fit"]  # type: ignore[attr-defined]
    begun = 0
    for kind, facts in TROUBLED.items():
        for advice in advised(facts, kind):
            words = shlex.split(advice.values["command"])
            if words[:2] == ["tunesmith", "fit"]:
                fit.make_context("fit", words[2:])  # raises for an option that is unknown
                begun += 1
    assert begun >= 7


def test_a_run_whose_data_were_in_memory_is_given_no_command() -> None:
    for kind, facts in TROUBLED.items():
        told = advised(replace(facts, data=None), kind)
        assert all(advice.values["command"] == "" for advice in told)


def test_options_that_decide_the_plan_are_not_named_beside_a_given_plan() -> None:
    (advice,) = advise(replace(TROUBLED["best_was_last"], given=True))
    assert advice.values["command"] == ""


def test_balancing_is_not_advised_where_it_was_done() -> None:
    facts = TROUBLED["rare_weak"]
    balanced = replace(facts, plan=replace(facts.plan, settings=Settings(balance="weights")))
    assert advised(balanced, "rare_weak") == ()


def test_a_class_without_test_examples_was_called_weak() -> None:
    facts = TROUBLED["rare_weak"]  # the control: with test examples it is weak
    empty = {**facts.scores["test"], "confusion": [[90, 5, 5], [5, 90, 5], [0, 0, 0]]}
    assert advised(facts, "rare_weak") != ()
    assert advised(replace(facts, scores={**facts.scores, "test": empty}), "rare_weak") == ()


@pytest.mark.parametrize(
    ("asked", "said"),
    [({}, "1h"), ({"time_limit": 600.0}, "1h"), ({"time_limit": 3600.0}, "120m")],
)
def test_the_longer_time_limit_was_shorter(asked: dict[str, Any], said: str) -> None:
    (advice,) = advise(replace(TROUBLED["out_of_time"], asked=asked))
    assert advice.values["command"].endswith(f"--time-limit {said}")


def test_a_test_split_that_was_given_was_to_be_drawn_larger() -> None:
    (advice,) = advise(replace(TROUBLED["few_tested"], drawn=False))
    assert advice.values["command"] == ""
    (advice,) = advise(replace(TROUBLED["few_tested"], asked={"test_size": 0.3}))
    assert advice.values["command"] == ""
    (advice,) = advise(replace(TROUBLED["few_tested"], asked={"test_size": 0.2}))
    assert advice.values["command"].endswith("--test-size 0.3")


def test_fewer_stages_were_more_stages() -> None:
    plan = Plan("top", (Phase("top 2", 3, (0.0, 1e-4, 1e-4, 1e-3)),))
    facts = replace(TROUBLED["learned_by_heart"], takes="text", plan=plan)
    (advice,) = advise(facts)
    assert advice.values["command"].endswith("--strategy top --unfreeze 1 --label-smoothing 0.1")


def test_where_labels_cannot_be_smoothed_fewer_stages_train_all_the_same() -> None:
    plan = Plan("full", (Phase("full", 3, (1e-5, 1e-4, 1e-3)),))
    facts = replace(TROUBLED["learned_by_heart"], takes="text", plan=plan)
    (advice,) = advised(replace(facts, works=lambda options: "label_smoothing" not in options))
    assert advice.values["command"].endswith("--strategy top --unfreeze 1")


def test_a_check_was_to_read_the_data_in_another_way() -> None:
    asked = {**DEFAULTS, "data": "my table.csv", "target": "kind", "seed": 3, "skip_bad": True, "epochs": 9}
    assert read_from(asked) == "'my table.csv' --target kind --seed 3 --skip-bad"
    assert read_from({**asked, "data": "<in memory: list>"}) is None
    facts = replace(with_finding("suspected_labels"), data=read_from(asked), asked={"model": "timm/a b"})
    (advice,) = advise(facts)
    assert advice.values["command"] == f"tunesmith check {read_from(asked)} --model 'timm/a b'"


RUNS: dict[str, dict[str, Any]] = {
    "lp_ft": {},
    "top": {"strategy": "top", "unfreeze": 2},
    "surgical": {"strategy": "surgical", "unfreeze": "0"},
    "norm": {"strategy": "full", "parts": "norm"},
    "solved": {"solver": "ridge"},
    "probe": {"strategy": "linear_probe", "solver": "lbfgs"},
    "auto": {"strategy": "auto"},
    "mlp": {"head": "mlp", "augment": "flip"},
    "given plan": {"plan": "plan.json"},
    "own splits": {},
}


def troubled(kind: str, photos: Path, place: Path) -> dict[str, Facts]:
    """Every trouble, met by a run that was asked for in its own way; its options lie in `place`."""
    data = photos
    if kind == "own splits":
        data = place / "data"
        for file in photos.rglob("*.png"):
            split = ("train", "train", "valid", "test")[int(file.stem) % 4]
            (data / split / file.parent.name).mkdir(parents=True, exist_ok=True)
            (data / split / file.parent.name / file.name).write_bytes(file.read_bytes())
    usual = {"model": "timm/test_resnet@none", "image_size": 32, "batch": 8, "engine": "eager"}
    asked, _ = with_strategy({**DEFAULTS, **usual, "data": str(data), **RUNS[kind]})
    read = ts.read(data)
    labels = Labels(("blue", "green", "red"), (10, 10, 10))
    network = ts.load(
        str(asked["model"]), ts.Want("image-classification", 3, head=str(asked["head"]), image_size=32)
    )
    plan = plan_for({**asked, "plan": None}, network, read, labels, task("image-classification"))
    (place / "plan.json").write_text(plan.to_json())
    written = {k: v for k, v in asked.items() if k not in ("out", "dry_run")}
    (place / "asked.yaml").write_text(yaml.safe_dump(written))
    return {
        trouble: replace(
            facts, run=shlex.quote(str(place)), data=read_from(asked), plan=plan,
            given=asked["plan"] is not None, asked=asked, drawn=drew_test(read),
            works=fit_takes(asked, read, network, labels, task("image-classification")),
        )
        for trouble, facts in TROUBLED.items()
    }  # fmt: skip


QUICK = ("top", "solved", "given plan")


@pytest.mark.parametrize(
    "kind", [kind if kind in QUICK else pytest.param(kind, marks=pytest.mark.full) for kind in RUNS]
)
def test_commands_failed_or_were_not_obeyed_beside_the_runs_own_options(
    kind: str, photos: Path, tmp_path: Path, tunesmith: Callable[..., Any]
) -> None:
    commands = {
        advice.values["command"]
        for trouble, facts in troubled(kind, photos, tmp_path).items()
        for advice in advised(facts, trouble)
        if advice.values["command"].startswith("tunesmith fit")
    }
    assert len(commands) >= {"given plan": 1, "own splits": 5, "probe": 2}.get(kind, 4)
    for command in commands:
        answer = tunesmith(*shlex.split(command)[1:], "--dry-run")
        assert (command, answer.code, answer.err if answer.code else "") == (command, 0, "")
        assert "not obeyed" not in answer.err


def test_a_command_that_asks_for_too_much_would_be_seen(
    photos: Path, tmp_path: Path, tunesmith: Callable[..., Any]
) -> None:
    troubled("top", photos, tmp_path)
    asked = ("fit", "--config", tmp_path / "asked.yaml", "--dry-run")
    assert tunesmith(*asked, "--strategy", "linear_probe", "--solver", "lbfgs").code == 2
    assert tunesmith(*asked).code == 0
