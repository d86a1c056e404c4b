"""The page of a comparison: runs side by side, and whether the difference is more than chance."""

from __future__ import annotations

from tunesmith.evaluation import Score, sign_of
from tunesmith.reports.content import Compared, Comparison
from tunesmith.reports.drawings.intervals import Row, intervals
from tunesmith.reports.figures import span
from tunesmith.reports.rendering import Table, capital, named, number, render, safe, signed
from tunesmith.reports.summary import short_model
from tunesmith.reports.tables import LONGEST, called, plan_table
from tunesmith.reports.words import Words
from tunesmith.tasks.task import less_is_better

SECTIONS = ("scores", "gaps", "agree", "metrics", "each", "plans", "differ", "commands")


def compare_page(comparison: Comparison, *, lang: str = "en") -> str:
    """A comparison as one HTML file that loads nothing: the same comparison gives the same bytes.

    lang: "en" or "zh".
    Raises UnknownName for another language, MissingPackage where matplotlib or jinja2 is not installed.
    """
    words = Words(lang)
    names = [named(run.name, 24) for run in comparison.runs]
    heading = words("compare.title", runs=words.many(len(names), "runs"))
    each = _each(comparison, names, words)
    headings = {part: _heading(part, comparison, words) for part in SECTIONS if part != "each" or each.rows}
    return render(
        "compare.html.jinja",
        words,
        title=f"{words.listed(names, most=3)} – {words('compare.kind')}",
        kind=words("compare.kind"),
        heading=heading,
        contents=list(headings.items()),
        headings=headings,
        short=_short(comparison, names, words),
        runs=comparison.runs,
        first=names[0],
        about=_about(comparison, names, words),
        scores=_scores(comparison, names, words),
        gaps=_gaps(comparison, names, words),
        lead=words(f"compare.agree.{comparison.answers}.lead"),
        alone=_alone(comparison, names, words),
        metrics=_metrics(comparison, names, words),
        each=each,
        cut=_cut(comparison, words),
        plans=_plans(comparison, names, words),
        differ=_differ(comparison, names, words),
    )


def _heading(part: str, comparison: Comparison, words: Words) -> str:
    """What a section is called; of two of them that depends on what the answers are made of."""
    return words(f"compare.{part}.{comparison.answers}" if part in ("agree", "each") else f"compare.{part}")


def _short(comparison: Comparison, names: list[str], words: Words) -> list[str]:
    """Which is highest, and what is proven of each beside the first."""
    metric = comparison.metric
    less = less_is_better(metric)
    values = [run.scores[metric].value for run in comparison.runs]
    best = values.index(min(values) if less else max(values))
    told = {"count": f"{comparison.count:,}", "metric": words.named("metric", metric)}
    key = "compare.short.less" if less else "compare.short"
    said = [words(key, best=names[best], value=number(values[best], metric), **told)]
    for name, run in zip(names[1:], comparison.runs[1:], strict=True):
        gap = run.gaps[metric]
        outcome = "proven" if gap.low > 0 else "worse" if gap.high < 0 else "open"
        ends = {"gap": gap.value, "low": gap.low, "high": gap.high}
        written = {place: signed(value, metric) for place, value in ends.items()}
        said.append(words(f"compare.{outcome}", name=name, first=names[0], **written))
    return said


def _scores(comparison: Comparison, names: list[str], words: Words) -> object:
    metric = comparison.metric
    scores = [run.scores[metric] for run in comparison.runs]
    best = max(scores, key=lambda score: -score.value if less_is_better(metric) else score.value)
    rows = [
        Row(name, score, number(score.value, metric), own=score is best)
        for name, score in zip(names, scores, strict=True)
    ]
    said = "; ".join(f"{row.name} {row.said}, {span(row.score, words, metric)}" for row in rows)
    return safe(
        intervals("scores", words("scores.alt", metric=words.named("metric", metric), rows=said), rows)
    )


def _gaps(comparison: Comparison, names: list[str], words: Words) -> object:
    metric = comparison.metric
    rows = []
    for name, run in zip(names[1:], comparison.runs[1:], strict=True):
        gap = run.gaps[metric]
        rows.append(Row(name, gap, signed(gap.value, metric), own=gap.low > 0 or gap.high < 0))
    said = "; ".join(
        f"{row.name} {row.said} [{signed(row.score.low, metric)}, {signed(row.score.high, metric)}]"
        for row in rows
    )
    metric = words.named("metric", metric)
    alt = words("compare.gaps.alt", metric=metric, first=names[0], rows=said)
    return safe(intervals("gaps", alt, rows, zero=True))


def _about(comparison: Comparison, names: list[str], words: Words) -> Table:
    """What each run is: network, strategy, length, date."""

    def row(name: str, run: Compared) -> tuple[str, ...]:
        time = "–" if run.seconds is None else words.duration(run.seconds)
        date = run.created[:10]
        return (name, short_model(run.model), run.strategy, f"{run.epochs:g}", time, date)

    heading = [words(f"compare.{k}") for k in ("run", "model", "strategy", "epochs", "time", "created")]
    rows = tuple(row(name, run) for name, run in zip(names, comparison.runs, strict=True))
    return Table(tuple(heading), rows, frozenset({3, 4}))


def _alone(comparison: Comparison, names: list[str], words: Words) -> Table:
    rows = tuple(
        (name, f"{run.only_this:,}", f"{run.only_first:,}")
        for name, run in zip(names[1:], comparison.runs[1:], strict=True)
    )
    heading = words("compare.run"), *(capital(words(f"compare.only.{who}")) for who in ("this", "first"))
    return Table(heading, rows, frozenset({1, 2}))


def _metrics(comparison: Comparison, names: list[str], words: Words) -> Table:
    """A row per metric of the whole split, a column per run."""
    told = [metric for metric in comparison.runs[0].scores if "/" not in metric]
    rows = tuple((called(metric, words), *_row(comparison, metric)) for metric in told)
    heading = (words("scores.metric"), *names)
    return Table(heading, rows, frozenset(range(1, len(heading))), foreign=False)


def _each(comparison: Comparison, names: list[str], words: Words) -> Table:
    """F1, or else the first metric, of each class, column or type; the weakest in the first run on top.

    Classes without test examples are left out: of them nothing was measured.
    """
    first = comparison.runs[0].scores
    split = [name.partition("/") for name in first if "/" in name]
    measures = dict.fromkeys(measure for measure, _, _ in split)
    measure = "f1" if "f1" in measures else next(iter(measures), "")
    known = [part for own, _, part in split if own == measure and comparison.counts.get(part, 1)]
    sign = sign_of(measure)
    weakest = sorted(known, key=lambda part: sign * first[f"{measure}/{part}"].value)[:LONGEST]
    rows = tuple((named(part), *_row(comparison, f"{measure}/{part}")) for part in weakest)
    heading = (f"{words(f'each.{comparison.answers}')} ({words.named('metric', measure)})", *names)
    return Table(heading, rows, frozenset(range(1, len(heading))))


def _cut(comparison: Comparison, words: Words) -> str:
    """Which classes the table leaves out: all but the weakest, and those without test examples."""
    tested = sum(count > 0 for count in comparison.counts.values())
    without = [named(label) for label, count in comparison.counts.items() if not count]
    said = [words("classes.some", n=LONGEST, all=f"{tested:,}")] if tested > LONGEST else []
    said += [words("classes.untested", labels=words.listed(without))] if without else []
    return (" " if words.lang == "en" else "").join(said)


def _plans(comparison: Comparison, names: list[str], words: Words) -> Table:
    """A row per run and phase: how long, what trains, at which rates."""
    tables = [plan_table(run.plan, run.parts, words) for run in comparison.runs]
    rows = tuple((name, *row) for name, table in zip(names, tables, strict=True) for row in table.rows)
    return Table((words("compare.run"), *tables[0].heading), rows, frozenset({2}))


def _differ(comparison: Comparison, names: list[str], words: Words) -> Table:
    rows = tuple((option, *(named(v, 80) for v in values)) for option, values in comparison.differ.items())
    return Table((words("compare.option"), *names), rows)


def _row(comparison: Comparison, metric: str) -> list[str]:
    scores: list[Score | None] = [run.scores.get(metric) for run in comparison.runs]
    return ["–" if score is None else number(score.value, metric) for score in scores]
