"""Advice comes of a run's own numbers, and of nothing else; every sentence can be said in two languages."""

from __future__ import annotations

import string
from dataclasses import replace
from typing import Any

import pytest

from tunesmith.health.finding import Finding, Health
from tunesmith.plan import Phase, Plan, Settings
from tunesmith.reports.advice import Facts, advise
from tunesmith.reports.advice_words import ADVICE, MISSING
from tunesmith.reports.content import Calibration

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
        counts=(100, 100, 100),
        plan=Plan("full", (Phase("full", 3, (1e-4, 1e-3)),)),
        given=False,
        history=rows,
        scores={
            "metric": "accuracy",
            "kept": {"phase": "full", "epoch": 2},
            "ended": "plan",
            "valid": scored(0.91),
            "test": scored(0.9),
            "difference": {"baseline": "linear probe", "value": 0.05, "low": 0.02, "high": 0.08},
        },
        calibration=Calibration((), 0.02, 1.1, (), 0.015),
        health=Health("photos", "image", (), {}, ()),
    )


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
    "rare_weak": replace(with_scores(test=scored(0.9, f1=(0.9, 0.9, 0.4))), counts=(100, 100, 12)),
    "confused_pair": with_scores(test={**scored(0.9), "confusion": [[90, 10, 0], [1, 99, 0], [0, 1, 99]]}),
    "too_sure": replace(healthy(), calibration=Calibration((), 0.12, 1.9, (), 0.02)),
    "not_sure_enough": replace(healthy(), calibration=Calibration((), 0.12, 0.6, (), 0.02)),
}  # fmt: skip


def test_a_healthy_run_is_advised_nothing() -> None:
    assert advise(healthy()) == ()


@pytest.mark.parametrize("kind", TROUBLED)
def test_a_trouble_brings_its_advice_and_no_other(kind: str) -> None:
    assert [advice.kind for advice in advise(TROUBLED[kind])] == [kind]


@pytest.mark.parametrize("kind", TROUBLED)
@pytest.mark.parametrize("lang", ["en", "zh"])
def test_every_advice_can_be_said(kind: str, lang: str) -> None:
    (advice,) = advise(TROUBLED[kind])
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
    import shlex

    import typer.main

    from tunesmith.cli.app import app

    fit = typer.main.get_command(app).commands["fit"]  # type: ignore[attr-defined]
    begun = 0
    for facts in TROUBLED.values():
        for advice in advise(facts):
            words = shlex.split(advice.values["command"])
            if words[:2] == ["tunesmith", "fit"]:
                fit.make_context("fit", words[2:])  # raises for an option that is unknown
                begun += 1
    assert begun >= 7


def test_a_run_whose_data_were_in_memory_is_given_no_command() -> None:
    for facts in TROUBLED.values():
        assert all(advice.values["command"] == "" for advice in advise(replace(facts, data=None)))


def test_options_that_decide_the_plan_are_not_named_beside_a_given_plan() -> None:
    (advice,) = advise(replace(TROUBLED["best_was_last"], given=True))
    assert advice.values["command"] == ""


def test_balancing_is_not_advised_where_it_was_done() -> None:
    facts = TROUBLED["rare_weak"]
    balanced = replace(facts, plan=replace(facts.plan, settings=Settings(balance="weights")))
    assert advise(balanced) == ()
