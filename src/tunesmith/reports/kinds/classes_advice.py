"""What to try next where classes fail, or stated probabilities mislead."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from tunesmith.reports.advice import SMOOTH, Facts, again, steps
from tunesmith.reports.content import Advice, Calibration, OfClasses

UNCALIBRATED: Final = 0.05  # of the expected calibration error; above it, stated probabilities mislead
WEAK: Final = 0.15  # by which a class is worse than the mean of all, in F1
RARE: Final = 0.5  # times the examples of a class of mean size
SHARE: Final = 0.3  # of all mistakes that one pair of classes makes


def classes_advice(facts: Facts, own: OfClasses) -> Iterable[Advice]:
    """Which classes fail, then whether stated probabilities can be believed."""
    yield from _classes(facts, own)
    yield from _trust(facts, own.calibration)


def _classes(facts: Facts, own: OfClasses) -> Iterable[Advice]:
    """Which classes fail, and how."""
    metrics = facts.scores["test"]["metrics"]
    confusion = facts.scores["test"].get("confusion") or ()
    tested = [name for name, row in zip(facts.labels, confusion, strict=False) if sum(row)]
    f1 = {name: metrics[f"f1/{name}"]["value"] for name in tested}
    counts = {name: own.counts[name]["train"] for name in facts.labels}
    mean, usual = sum(f1.values()) / max(len(f1), 1), sum(counts.values()) / len(counts)
    weak = [
        (name, count)
        for name, count in counts.items()
        if count < RARE * usual and f1.get(name, mean) < mean - WEAK
    ]
    if weak and facts.plan.settings.balance == "none":
        told = {"labels": ", ".join(name for name, _ in weak[:5]), "count": max(count for _, count in weak)}
        yield Advice("rare_weak", {**told, "command": again(facts, {"balance": "weights"})})
    if len(confusion) > 2:
        pairs = [(n, i, j) for i, row in enumerate(confusion) for j, n in enumerate(row) if i != j]
        total, (most, i, j) = sum(n for n, _, _ in pairs), max(pairs, key=lambda pair: pair[0])
        if most >= 3 and most >= SHARE * total:
            told = {"truth": facts.labels[i], "guess": facts.labels[j], "count": most, "total": total}
            yield Advice("confused_pair", {**told, "command": ""})


def _trust(facts: Facts, found: Calibration | None) -> Iterable[Advice]:
    """Whether stated probabilities can be believed."""
    if found is None or found.ece <= UNCALIBRATED or found.after_ece >= found.ece:
        return
    kind = "too_sure" if found.temperature > 1 else "not_sure_enough"
    told = {"ece": found.ece, "after": found.after_ece, "temperature": found.temperature}
    smooth = kind == "too_sure" and not facts.plan.settings.label_smoothing and steps(facts.plan)
    yield Advice(kind, {**told, "command": again(facts, {"label_smoothing": SMOOTH}) if smooth else ""})
