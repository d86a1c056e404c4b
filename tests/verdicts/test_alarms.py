"""Alarms are raised where something is wrong, and all together rarely where nothing is."""

from __future__ import annotations

import importlib.util
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tunesmith.tasks import TASKS
from tunesmith.tasks.tagged_words import Tagged
from tunesmith.tasks.tagged_words import Truth as Spans
from tunesmith.tasks.task import Labels, Task
from tunesmith.verdicts.alarms import below, harmed_classes, no_gain, proven
from tunesmith.verdicts.paired import Pair, measured, mistakes, pair

TAGS: Any = TASKS.load("token-classification")()
TYPES = Labels(("O", "B-LOC", "I-LOC", "B-PER", "I-PER"))
TASK: Task = TASKS.load("image-classification")()
TOOL = Path(__file__).resolve().parents[2] / "bench" / "nulls.py"
FEW, ALL = 25, 2000  # simulated pairs of each setting


@pytest.fixture(scope="module")
def nulls() -> ModuleType:
    """The tool that simulates runs of which nothing is wrong."""
    spec = importlib.util.spec_from_file_location("nulls", TOOL)
    assert spec is not None
    assert spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    sys.modules["nulls"] = tool  # dataclasses look their module up
    spec.loader.exec_module(tool)
    return tool


def two(ours: Any, theirs: Any, truth: Any) -> Pair:
    """A pair from guesses."""
    truth = np.asarray(truth)
    K = int(truth.max()) + 1
    quiet = np.zeros(len(truth))
    own, other = ({"truth": truth, "guess": np.asarray(guess), "surprise": quiet} for guess in (ours, theirs))
    return Pair(TASK, Labels(tuple("abcdefghij"[:K]), (1,) * K), own, other)


def guesses(truth: Any, accuracy: float, seed: int) -> Any:
    """Right so often, at random."""
    random = np.random.default_rng(seed)
    return np.where(random.random(len(truth)) < accuracy, truth, (truth + 1) % (truth.max() + 1))


def kinds(*suspicions: Any) -> list[str]:
    return [alarm.kind for alarm in proven(suspicions, "accuracy")]


def test_a_network_below_its_probe_is_named_and_one_above_is_not(seed: int) -> None:
    truth = np.arange(200) % 4
    bad, good = guesses(truth, 0.6, seed), guesses(truth, 0.85, seed + 1)
    harmed = two(bad, good, truth)
    found = proven(
        [below("below_probe", harmed, "accuracy", "linear probe", gap=measured(harmed, "accuracy"))],
        "accuracy",
    )
    assert [alarm.kind for alarm in found] == ["below_probe"]
    assert found[0].sentence.startswith("destructive fine-tuning: ")
    assert found[0].told["high"] < 0
    assert kinds(below("below_probe", two(good, bad, truth), "accuracy", "linear probe")) == []


def test_the_class_that_is_harmed_is_named_and_no_other() -> None:
    """Overall the network gains: 30 more of class a, and 12 of 20 of class b are lost."""
    truth = np.array([0] * 100 + [1] * 20 + [2] * 60)
    probe = truth.copy()
    probe[:40] = 2
    tuned = truth.copy()
    tuned[:10], tuned[100:112] = 2, 0
    (alarm,) = proven([below("below_probe", two(tuned, probe, truth), "accuracy", "probe"),
                       harmed_classes(two(tuned, probe, truth), "linear probe")], "accuracy")  # fmt: skip
    assert alarm.kind == "harmed_classes"
    assert alarm.told["classes"] == {"b": {"count": 20, "found": 8, "found_by_probe": 20}}
    assert "b (8 of 20, was 20)" in alarm.sentence
    assert kinds(harmed_classes(two(probe, probe, truth), "linear probe")) == []


def test_where_no_class_is_large_enough_none_is_harmed() -> None:
    truth = np.arange(30) % 10
    assert kinds(harmed_classes(two((truth + 1) % 10, truth, truth), "linear probe")) == []


def test_features_that_gain_nothing_are_named_and_those_that_gain_are_not(seed: int) -> None:
    truth = np.arange(1000) % 3
    twin = guesses(truth, 0.5, seed)
    assert kinds(no_gain(two(guesses(truth, 0.5, seed + 1), twin, truth), "accuracy")) == ["no_gain"]
    assert kinds(no_gain(two(guesses(truth, 0.8, seed + 1), twin, truth), "accuracy")) == []


def marked(share: float, seed: int, count: int = 300) -> tuple[list[Any], list[Any]]:
    """Answers to sentences of eight words, each right with this chance, and the truth, always the same."""
    truth = np.random.default_rng([0, count]).choice(3, (count, 8), p=(0.7, 0.2, 0.1))
    random = np.random.default_rng(seed)
    said = np.where(random.random(truth.shape) < share, truth, random.integers(0, 3, truth.shape))
    words = np.stack([4 * np.arange(8), 4 * np.arange(8) + 3], 1)
    tags = np.eye(5, dtype=np.float32)[[0, 1, 3]]  # O, and spans of one word of two types
    return [Tagged(words, tags[own]) for own in said], [
        Spans(words, np.array([0, 1, 3])[own]) for own in truth
    ]


def test_spans_that_are_found_no_better_than_by_the_twin_are_named(seed: int) -> None:
    twin, truth = marked(0.5, seed)

    def against(answers: list[Any]) -> Any:
        return kinds(no_gain(pair(TAGS, TYPES, answers, twin, truth), "f1"))

    assert against(marked(0.5, seed + 1)[0]) == ["no_gain"]
    assert against(marked(0.9, seed + 1)[0]) == []
    assert against(twin) == ["no_gain"]
    few = [own[:8] for own in (twin, truth)]
    assert kinds(no_gain(pair(TAGS, TYPES, few[0], few[0], few[1]), "f1")) == []  # too few to prove anything


def test_a_sentence_of_which_nothing_is_marked_rightly_is_no_mistake() -> None:
    words, nothing = np.array([[0, 3]]), np.eye(5, dtype=np.float32)[[0]]
    outcomes = TAGS.outcomes([Tagged(words, nothing)] * 2, [Spans(words, np.array([tag])) for tag in (0, 1)])
    assert mistakes(outcomes).tolist() == [0.0, 1.0]


def test_a_small_test_split_cannot_show_that_pretraining_gains_nothing() -> None:
    truth = np.arange(12) % 2
    assert kinds(no_gain(two(1 - truth, 1 - truth, truth), "accuracy")) == []


def test_negative_transfer_is_named_once(seed: int) -> None:
    truth = np.arange(300) % 3
    pretrained = two(guesses(truth, 0.4, seed), guesses(truth, 0.7, seed + 1), truth)
    suspicions = below("below_twin", pretrained, "accuracy", "random twin"), no_gain(pretrained, "accuracy")
    assert kinds(*suspicions) == ["below_twin"]


def test_a_doubt_that_stands_alone_may_not_stand_among_many() -> None:
    """Nine of ten discordant: p is 0.011, enough for one test and too little for the first of ten."""
    truth = np.zeros(50, int)
    truth[-1] = 1
    ours = truth.copy()
    ours[:9] = 1
    theirs = truth.copy()
    theirs[20] = 1
    one = below("below_probe", two(ours, theirs, truth), "accuracy", "linear probe")
    quiet = [below("better_start", two(truth, truth, truth), "accuracy", "x") for _ in range(9)]
    assert kinds(one) == ["below_probe"]
    assert kinds(one, *quiet) == []


def _rates(nulls: ModuleType, pairs: int) -> None:
    for setting in nulls.SETTINGS:
        tally: Counter[str] = Counter()
        for number in range(pairs):
            tally = nulls.counted(tally, nulls.simulated(setting, number))
        told = nulls.summary(tally)
        # Few pairs may by chance show more; the bound is that of the level, not of a lucky draw.
        most = 0.065 if pairs == ALL else nulls.upper(round(0.05 * pairs), pairs)
        assert told["upper"] <= most, (setting, told)


def test_alarms_are_rare_where_nothing_is_wrong(nulls: ModuleType) -> None:
    _rates(nulls, FEW)


@pytest.mark.full
def test_any_alarm_is_raised_in_fewer_than_65_of_1000_runs_without_fault(nulls: ModuleType) -> None:
    _rates(nulls, ALL)


def test_uncorrected_tests_would_raise_too_many(nulls: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: with ten times the level the same pairs raise alarms, so the count is not blind."""
    from tunesmith.verdicts import alarms

    monkeypatch.setattr(nulls, "proven", lambda found, metric: alarms.proven(found, metric, level=0.5))
    named = [nulls.simulated("alike", number)["false"] for number in range(20)]
    assert sum(map(bool, named)) >= 3
