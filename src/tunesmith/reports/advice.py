"""What to try next, from the facts of one run; `advice_words` says it in English and Chinese."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from tunesmith.evaluation import Score
from tunesmith.health.finding import Health
from tunesmith.plan import Plan
from tunesmith.reports.content import Advice, Calibration

UNCALIBRATED: Final = 0.05  # of the expected calibration error; above it, stated probabilities mislead
FAR: Final = 0.2  # nats of validation loss above training loss; more, and a network learns by heart
WIDE: Final = 0.15  # of an interval; a gain of a usual size cannot be seen through it
WEAK: Final = 0.15  # by which a class is worse than the mean of all, in F1
RARE: Final = 0.5  # times the examples of a class of mean size
SHARE: Final = 0.3  # of all mistakes that one pair of classes makes


@dataclass(frozen=True)
class Facts:
    """What advice rests on.

    run: its folder, as a person would type it. data: what it learned from, likewise; None: from memory.
    counts: training examples of each label. epochs: planned, in all phases. given: the plan was given.
    """

    run: str
    data: str | None
    takes: str
    labels: tuple[str, ...]
    counts: tuple[int, ...]
    plan: Plan
    given: bool
    history: Sequence[Mapping[str, Any]]
    scores: Mapping[str, Any]
    calibration: Calibration | None
    health: Health | None


def advise(facts: Facts) -> tuple[Advice, ...]:
    """Things to try next, most promising first; nothing that the run's own numbers do not call for."""
    found = (
        *_data(facts),
        *_split(facts),
        *_worth(facts),
        *_fit(facts),
        *_classes(facts),
        *_trust(facts),
    )
    return tuple(found)


def _data(facts: Facts) -> Iterable[Advice]:
    """What is wrong with the data bounds every network."""
    check = "" if facts.data is None else f"tunesmith check {facts.data}"
    found = {finding.kind: finding for finding in (facts.health.findings if facts.health else ())}
    without = facts.scores.get("without_duplicates")
    if without and without.get("count_left_out"):
        yield Advice("leaked", {"count": int(without["count_left_out"]), "command": check})
    elif "byte_equal_across" in found:
        yield Advice("leaked", {"count": found["byte_equal_across"].count, "command": check})
    if "byte_equal_two_labels" in found:
        yield Advice("two_labels", {"count": found["byte_equal_two_labels"].count, "command": check})
    if "suspected_labels" in found:
        yield Advice("suspected_labels", {"count": found["suspected_labels"].count, "command": check})


def _split(facts: Facts) -> Iterable[Advice]:
    """Whether the test split can answer what it is asked, and resembles validation."""
    metric = facts.scores["metric"]
    valid, test = _score(facts.scores["valid"], metric), _score(facts.scores["test"], metric)
    if not metric.endswith("loss") and test.high < valid.value and valid.low > test.value:
        command = "" if facts.data is None else f"tunesmith check {facts.data}"
        told = {"metric": metric, "valid": valid.value, "test": test.value, "command": command}
        yield Advice("test_below_valid", told)
    if not metric.endswith("loss") and test.high - test.low > WIDE:
        count = int(facts.scores["test"]["count"])
        told = {"metric": metric, "count": count, "low": test.low, "high": test.high}
        yield Advice("few_tested", {**told, "command": _again(facts, "--test-size 0.3")})


def _worth(facts: Facts) -> Iterable[Advice]:
    """Whether training the stages was worth it."""
    gap, metric = facts.scores["difference"], facts.scores["metric"]
    told = {"metric": metric, "gap": gap["value"], "low": gap["low"], "high": gap["high"]}
    if gap["low"] > 0 or not _stages_train(facts.plan):
        return
    if gap["high"] < 0:
        peak = max(rate for phase in facts.plan.phases for rate in phase.lrs[:-1])
        command = _again(facts, f"--lr {peak / 5:.0e}", planned=True)
        yield Advice("worse_than_probe", {**told, "command": command})
    else:
        command = _again(facts, "--strategy linear_probe --solver lbfgs", planned=True)
        yield Advice("no_better_than_probe", {**told, "command": command})


def _fit(facts: Facts) -> Iterable[Advice]:
    """Too little training, or too much of it."""
    rows, kept = list(facts.history), facts.scores.get("kept", {})
    if not rows:
        return
    mark = (kept.get("phase"), kept.get("epoch"))
    best = [i for i, row in enumerate(rows) if (row["phase"], row["epoch"]) == mark]
    row = rows[best[-1]] if best else rows[-1]
    if facts.scores.get("ended") == "time limit":
        yield Advice("out_of_time", {"epochs": len(rows), "command": _again(facts, "--time-limit 1h")})
    train, valid = row.get("train_loss"), row.get("valid_loss")
    if train is not None and valid is not None and valid - train > max(FAR, 0.5 * train):
        if facts.takes == "image" and facts.plan.settings.augment == "none":
            command = _again(facts, "--augment standard")
        elif _stages_train(facts.plan):
            command = _again(facts, "--strategy top --unfreeze 2 --label-smoothing 0.1", planned=True)
        else:
            command = _again(facts, "--label-smoothing 0.1")
        yield Advice("learned_by_heart", {"train": train, "valid": valid, "command": command})
    elif best and best[-1] == len(rows) - 1 and len(rows) > 1 and not facts.plan.phases[-1].solver:
        epochs = facts.plan.epochs
        command = _again(facts, f"--epochs {2 * epochs:g}", planned=True)
        yield Advice("best_was_last", {"epochs": epochs, "command": command})


def _classes(facts: Facts) -> Iterable[Advice]:
    """Which classes fail, and how."""
    metrics = facts.scores["test"]["metrics"]
    f1 = {name: metrics[f"f1/{name}"]["value"] for name in facts.labels if f"f1/{name}" in metrics}
    mean, usual = sum(f1.values()) / max(len(f1), 1), sum(facts.counts) / len(facts.counts)
    weak = [
        (name, count)
        for name, count in zip(facts.labels, facts.counts, strict=True)
        if count < RARE * usual and f1.get(name, mean) < mean - WEAK
    ]
    if weak and facts.plan.settings.balance == "none":
        told = {"labels": ", ".join(name for name, _ in weak[:5]), "count": max(count for _, count in weak)}
        yield Advice("rare_weak", {**told, "command": _again(facts, "--balance weights")})
    confusion = facts.scores["test"].get("confusion")
    if confusion and len(confusion) > 2:
        pairs = [(n, i, j) for i, row in enumerate(confusion) for j, n in enumerate(row) if i != j]
        total, (most, i, j) = sum(n for n, _, _ in pairs), max(pairs, key=lambda pair: pair[0])
        if most >= 3 and most >= SHARE * total:
            told = {"truth": facts.labels[i], "guess": facts.labels[j], "count": most, "total": total}
            yield Advice("confused_pair", {**told, "command": ""})


def _trust(facts: Facts) -> Iterable[Advice]:
    """Whether stated probabilities can be believed."""
    found = facts.calibration
    if found is None or found.ece <= UNCALIBRATED or found.after_ece >= found.ece:
        return
    kind = "too_sure" if found.temperature > 1 else "not_sure_enough"
    told = {"ece": found.ece, "after": found.after_ece, "temperature": found.temperature}
    smooth = kind == "too_sure" and not facts.plan.settings.label_smoothing
    yield Advice(kind, {**told, "command": _again(facts, "--label-smoothing 0.1") if smooth else ""})


def _again(facts: Facts, options: str, *, planned: bool = False) -> str:
    """The command for the same run with other options; empty where it could not be given.

    planned: the options decide the plan, and so have no say where the plan itself was given.
    """
    if facts.data is None or (planned and facts.given):
        return ""
    return f"tunesmith fit --config {facts.run}/asked.yaml {options}"


def _stages_train(plan: Plan) -> bool:
    return any(any(phase.lrs[:-1]) for phase in plan.phases)


def _score(scores: Mapping[str, Any], metric: str) -> Score:
    return Score(**scores["metrics"][metric])
