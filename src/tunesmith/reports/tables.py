"""The tables of pages: scores, classes, counts, plans."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from tunesmith.plan import Phase, Plan
from tunesmith.reports.content import Content
from tunesmith.reports.drawings.strip import rate
from tunesmith.reports.figures import SPLITS, by_size, score_of, span
from tunesmith.reports.rendering import Table, capital, named, number
from tunesmith.reports.words import Words
from tunesmith.tasks.task import less_is_better

LONGEST: Final = 100  # rows that a person scrolls through
OF_CLASS: Final = ("precision", "recall", "f1")


def metrics_table(content: Content, words: Words) -> Table:
    """Every metric of the whole test split, with its interval."""
    rows = []
    for name, told in content.scores["test"]["metrics"].items():
        if name.partition("/")[0] in OF_CLASS and "/" in name:
            continue
        score = score_of(told)
        rows.append((called(name, words), number(score.value), span(score, words)))
    heading = words("scores.metric"), words("scores.value"), words("scores.interval")
    return Table(heading, tuple(rows), frozenset({1, 2}), foreign=False)


def called(metric: str, words: Words) -> str:
    """A metric's name, with a word where less is better."""
    name = words.named("metric", metric)
    return words("scores.less", metric=name) if less_is_better(metric) else name


def untested(content: Content) -> list[str]:
    """The classes without test examples: of them nothing was measured, and their F1 of 0 says nothing."""
    return [label for label in content.labels if not content.counts.get(label, {}).get("test")]


def classes_table(content: Content, words: Words) -> Table:
    """Precision, recall and F1 of each class on the test split, the weakest first; untested ones not."""
    told: Mapping[str, Any] = content.scores["test"]["metrics"]
    without = set(untested(content))
    known = [label for label in content.labels if f"f1/{label}" in told and label not in without]
    weakest = sorted(known, key=lambda label: told[f"f1/{label}"]["value"])[:LONGEST]
    rows = []
    for label in weakest:
        scores = {name: score_of(told[f"{name}/{label}"]) for name in OF_CLASS}
        count = content.counts[label]["test"]
        numbers = [number(scores[name].value) for name in OF_CLASS]
        rows.append((named(label), f"{count:,}", *numbers, span(scores["f1"], words)))
    metrics = [capital(words.named("metric", name)) for name in OF_CLASS]
    interval = f"{words.named('metric', 'f1')}: {words('scores.interval')}"
    heading = (words("data.class"), words("count"), *metrics, interval)
    return Table(heading, tuple(rows), frozenset(range(1, len(heading))))


def counts_table(counts: Mapping[str, Mapping[str, int]], words: Words) -> Table:
    """Examples by class and split, the largest class first; a line for all comes last."""
    rows = []
    for label, own in by_size(counts)[:LONGEST]:
        told = [f"{own.get(split, 0):,}" for split in SPLITS]
        rows.append((named(label), *told, f"{sum(own.values()):,}"))
    sums = [sum(own.get(split, 0) for own in counts.values()) for split in SPLITS]
    rows.append((words("data.total"), *(f"{n:,}" for n in sums), f"{sum(sums):,}"))
    splits = [capital(words.named("split", split)) for split in SPLITS]
    heading = (words("data.class"), *splits, words("data.total"))
    return Table(heading, tuple(rows), frozenset(range(1, len(heading))))


def plan_table(plan: Plan, parts: tuple[str, ...], words: Words) -> Table:
    """A row per phase: how long, what trains, at which rates."""
    rows = []
    for phase in plan.phases:
        epochs = "–" if phase.solved else f"{phase.epochs:g}"
        rows.append((phase.name, epochs, _trained(phase, parts, words), _rates(phase)))
    heading = words("plan.phase"), words("plan.epochs"), words("plan.trains"), words("plan.rates")
    return Table(heading, tuple(rows), frozenset({1}))


def ladder_table(ladder: Sequence[Mapping[str, Any]], words: Words) -> Table:
    """A row per rung: its gain with the standard error, what it was to cost, and what became of it."""
    rows = []
    for rung in ladder:
        gain = "–" if rung["gain"] is None else f"{rung['gain']:+.3f} ± {rung['error']:.3f}".replace("-", "−")
        cost = "–" if rung["seconds"] is None else words.duration(rung["seconds"])
        rows.append((str(rung["name"]), gain, cost, words(f"ladder.{rung['why']}")))
    heading = tuple(words(f"ladder.{name}") for name in ("rung", "gained", "cost", "why"))
    return Table(heading, tuple(rows), frozenset({1, 2}))


def _trained(phase: Phase, parts: tuple[str, ...], words: Words) -> str:
    if phase.solved:
        return words(f"plan.{phase.solver}")
    at = phase.frozen_prefix
    if at == len(parts) - 1:
        said = words("plan.head")
    else:
        said = words("plan.all") if at == 0 else words("plan.from", stage=parts[at])
    return said if phase.parts == "all" else f"{said}{words('comma')}{words(f'plan.{phase.parts}')}"


def _rates(phase: Phase) -> str:
    if phase.solved:
        return "–"
    rates = list(dict.fromkeys(rate(lr) for lr in phase.lrs if lr > 0))
    return rates[0] if len(rates) == 1 else f"{rates[0]} … {rates[-1]}"
