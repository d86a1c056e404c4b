"""The tables of pages: scores, counts, plans."""

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


def metrics_table(content: Content, words: Words) -> Table:
    """Every metric of the whole test split, with its interval."""
    rows = []
    for name, told in content.scores["test"]["metrics"].items():
        if "/" in name:  # of one class or column
            continue
        score = score_of(told)
        rows.append((called(name, words), number(score.value, name), span(score, words, name)))
    heading = words("scores.metric"), words("scores.value"), words("scores.interval")
    return Table(heading, tuple(rows), frozenset({1, 2}), foreign=False)


def called(metric: str, words: Words) -> str:
    """A metric's name, with a word where less is better."""
    name = words.named("metric", metric)
    return words("scores.less", metric=name) if less_is_better(metric) else name


def counts_table(counts: Mapping[str, Mapping[str, int]], words: Words, answers: str = "classes") -> Table:
    """Examples by class and split, the largest class first; a line for all comes last."""
    rows = []
    for label, own in by_size(counts)[:LONGEST]:
        told = [f"{own.get(split, 0):,}" for split in SPLITS]
        rows.append((named(label), *told, f"{sum(own.values()):,}"))
    sums = [sum(own.get(split, 0) for own in counts.values()) for split in SPLITS]
    rows.append((words("data.total"), *(f"{n:,}" for n in sums), f"{sum(sums):,}"))
    splits = [capital(words.named("split", split)) for split in SPLITS]
    heading = (words(f"each.{answers}"), *splits, words("data.total"))
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
