"""The figures of a run's page, each with what it shows in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from tunesmith.evaluation import Score, sign_of
from tunesmith.reports.content import Content
from tunesmith.reports.drawings.bars import Bar, bars
from tunesmith.reports.drawings.curves import Line, Panel, curves
from tunesmith.reports.drawings.intervals import Row, intervals
from tunesmith.reports.drawings.labels import Learned, labels
from tunesmith.reports.drawings.strip import strip
from tunesmith.reports.rendering import capital, named, number, safe, signed
from tunesmith.reports.words import Words

SPLITS: Final = ("train", "valid", "test")
TINTS: Final = {"train": "soft", "valid": "middle", "test": "accent"}
DRAWN: Final = 30  # classes whose bars are still told apart


def score_of(told: Mapping[str, Any]) -> Score:
    """A score as scores.json has it."""
    return Score(float(told["value"]), float(told["low"]), float(told["high"]))


def scores_figure(content: Content, words: Words) -> Any:
    """The run, and its baselines on the same axis, the best first."""
    metric = str(content.scores["metric"])
    rows = [Row(words("scores.own"), content.test, number(content.test.value, metric), own=True)]
    told = content.scores.get("baselines", {})
    compared = {name: score_of(own["metrics"][metric]) for name, own in told.items()}
    compared[content.baseline] = content.baseline_test
    for name, score in sorted(compared.items(), key=lambda one: -sign_of(metric) * one[1].value):
        rows.append(Row(words.named("baseline", name), score, number(score.value, metric)))
    said = "; ".join(f"{r.name} {r.said} {span(r.score, words, metric)}" for r in rows)
    alt = words("scores.alt", metric=words.named("metric", metric), rows=said)
    return safe(intervals("scores", alt, rows))


def gap_figure(content: Content, words: Words) -> Any:
    """How much better than the baseline, on the same examples."""
    baseline = words.named("baseline", content.baseline)
    gap, metric = content.gap, str(content.scores["metric"])
    written = {name: signed(value, metric) for name, value in vars(gap).items()}
    row = Row(words("scores.gap", baseline=baseline), gap, written["value"], own=True)
    return safe(intervals("gap", words("scores.gap.alt", baseline=baseline, **written), [row], zero=True))


def learning_figure(content: Content, words: Words) -> Any:
    """The score over the number of labels, of pretrained features and of random ones."""
    told, metric = content.scores["learning"], learning_metric(content)
    lines = [
        Learned(words(f"learning.{kind}"), colour, tuple((int(n), float(value)) for n, value in told[kind]))
        for kind, colour in (("pretrained", "accent"), ("random", "muted"))
        if kind in told
    ]
    said = "; ".join(
        f"{line.name}: " + words.listed([f"{n:,} {number(value, metric)}" for n, value in line.points])
        for line in lines
    )
    alt = words("learning.alt", metric=words.named("metric", metric), rows=said)
    return safe(labels("learning", alt, lines, words("learning.axis")))


def learning_metric(content: Content) -> str:
    """What the curve over the number of labels is of: not every metric that decides can be told of it."""
    return str(content.scores["learning"].get("metric", content.scores["metric"]))


def span(score: Score, words: Words, metric: str = "") -> str:
    """An interval in words."""
    return words("interval", low=number(score.low, metric), high=number(score.high, metric))


def by_size(counts: Mapping[str, Mapping[str, int]]) -> list[tuple[str, Mapping[str, int]]]:
    """Classes, the largest first."""
    return sorted(counts.items(), key=lambda pair: -sum(pair[1].values()))


def counts_figure(counts: Mapping[str, Mapping[str, int]], words: Words) -> Any:
    """A bar per class, cut by split; of many classes the largest and the smallest."""
    rows = by_size(counts)
    if len(rows) > DRAWN:
        rows = rows[: DRAWN // 2] + rows[-DRAWN // 2 :]
    drawn = [
        Bar(
            named(label, 30),
            tuple(float(split.get(name, 0)) for name in SPLITS),
            tuple(TINTS.values()),
            f"{sum(split.values()):,}",
        )
        for label, split in rows
    ]
    said = "; ".join(f"{bar.name} {bar.said}" for bar in drawn)
    return safe(bars("counts", words("data.alt", rows=said), drawn))


def plan_figure(content: Content, words: Words) -> Any:
    """The heat strip: depth against phase."""
    plan, said = content.plan, []
    for phase in plan.phases:
        frozen = sum(lr == 0 for lr in phase.lrs)
        told = {"parts": len(phase.lrs), "trained": len(phase.lrs) - frozen, "frozen": frozen}
        lasts = words.many(phase.epochs, "epochs")
        said.append(words("plan.alt.row", phase=phase.name, epochs=lasts, **told))
    epochs = [
        words(f"plan.{phase.solver}") if phase.solved else words.many(phase.epochs, "epochs")
        for phase in plan.phases
    ]
    alt = words("plan.alt", rows="; ".join(said))
    parts = [*content.parts[:-1], words("part.head")]
    return safe(strip("plan", alt, plan, parts, words("plan.frozen"), epochs))


def kept_row(content: Content) -> int | None:
    """The row of the history whose network was kept."""
    kept = content.scores.get("kept", {})
    for i, row in enumerate(content.history):
        if row["phase"] == kept.get("phase") and row["epoch"] == kept.get("epoch"):
            return i
    return None


def curves_figure(content: Content, words: Words) -> Any:
    """Loss and metric over the epochs."""
    metric, history, kept = str(content.scores["metric"]), content.history, kept_row(content)
    loss = Panel(
        words("curves.loss"),
        (
            Line("valid_loss", words("curves.valid"), "accent"),
            Line("train_loss", words("curves.train"), "muted"),
        ),
    )
    named_ = words.named("metric", metric)
    told = Panel(
        capital(named_),
        (Line(metric, words("curves.valid"), "accent"),),
    )

    def at(key: str, i: int) -> str:
        value = history[i].get(key)
        return "–" if value is None else number(float(value), key)

    alt = words(
        "curves.alt",
        epochs=words.many(len(history), "epochs"),
        metric=named_,
        loss0=at("train_loss", 0),
        loss1=at("train_loss", -1),
        metric0=at(metric, 0),
        metric1=at(metric, -1),
    )
    if kept is not None:
        alt += words("curves.alt.kept", best=at(metric, kept))
    said = {"kept_word": words("curves.kept"), "epoch_word": words("curves.epoch")}
    panels = [loss, told] if metric in history[0] else [loss]
    return safe(curves("curves", alt, history, panels, kept=kept, **said))


def moved_figure(content: Content, words: Words) -> Any:
    """How far each stage went, the head on top as in the plan."""
    rows: Sequence[Bar] = [
        Bar(
            words("part.head") if moved.stage == "head" else moved.stage,
            (moved.distance,),
            ("accent",),
            share(moved.distance) if moved.trained else words("plan.frozen"),
            quiet=not moved.trained,
        )
        for moved in reversed(content.moved)
    ]
    said = "; ".join(f"{bar.name} {bar.said}" for bar in rows)
    return safe(bars("moved", words("moved.alt", rows=said), rows))


def share(value: float) -> str:
    """A share in percent, with as many digits as tell something.

    >>> share(0.0312), share(0.00042), share(1.5)
    ('3.1 %', '0.042 %', '150 %')
    """
    return f"{100 * value:.2g} %" if value < 0.995 else f"{100 * value:.0f} %"
