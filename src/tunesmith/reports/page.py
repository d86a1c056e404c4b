"""The page of one run: everything that is known of it, in one file."""

from __future__ import annotations

import re
from typing import Any

from tunesmith.reports.advice_words import ADVICE, MISSING
from tunesmith.reports.content import Content
from tunesmith.reports.drawings.strip import rate
from tunesmith.reports.figures import (
    curves_figure,
    gap_figure,
    learning_figure,
    learning_metric,
    moved_figure,
    plan_figure,
    scores_figure,
)
from tunesmith.reports.findings import told
from tunesmith.reports.kinds import kind_of
from tunesmith.reports.rendering import named, render, share_of
from tunesmith.reports.summary import doubling, facts, sentences
from tunesmith.reports.tables import (
    ladder_table,
    metrics_table,
    plan_table,
)
from tunesmith.reports.words import Words
from tunesmith.verdicts.keeping import PROBE

LEAST_GAIN = 1.05  # times faster: less than that is not worth a sentence
# What every page has; between the two stand the sections of the kind of answers.
ABOVE = ("scores", "learning", "data", "plan", "ladder", "curves")
BELOW = ("moved", "health", "next", "again")


def run_page(content: Content, *, lang: str = "en") -> str:
    """A run's report as one HTML file that loads nothing: the same content gives the same bytes.

    lang: "en" or "zh".
    Raises UnknownName for another language, MissingPackage where matplotlib or jinja2 is not installed.
    """
    words, kind = Words(lang), kind_of(content.kind)
    metric = str(content.scores["metric"])
    missing = {part: MISSING[why][lang] if why in MISSING else why for part, why in content.missing.items()}
    own = kind.drawn(content, words)
    there = {**_common(content), **{part: part in own for part in kind.sections}}
    shown = [
        part
        for part in (*ABOVE, *kind.sections, *BELOW)
        if there.get(part, True) or part in missing  # be it why it is empty
    ]
    return render(
        "run.html.jinja",
        words,
        title=f"{named(content.name)} – {words('run.kind')}",
        kind=words("run.kind"),
        heading=named(content.name),
        contents=[(part, words(f"run.{part}")) for part in shown],
        shown=shown,
        content=content,
        missing=missing,
        decides=metric,
        metric=words.named("metric", metric),
        short=[*kind.opening(content, words), *sentences(content, words)],
        facts=facts(content, words),
        **_measured(content, words),
        learning=learning_figure(content, words) if "learning" in shown else None,
        doubling=doubling(content, words) if "learning" in shown else "",
        learning_metric=words.named("metric", learning_metric(content)) if "learning" in shown else "",
        learned=kind.learned_from(content, words),
        **_trained(content, words),
        middle=kind.template,
        own=own,
        **_judged(content, words, lang),
    )


def _common(content: Content) -> dict[str, bool]:
    """Which of the sections that not every run has have something to say."""
    return {
        "learning": bool(content.scores.get("learning")),
        "ladder": bool(content.ladder),
        "curves": bool(content.history),
        "moved": bool(content.moved),
        "health": content.health is not None,
    }


def _measured(content: Content, words: Words) -> dict[str, Any]:
    """Scores beside those of the baselines."""
    return {
        "scores": scores_figure(content, words),
        "gap": gap_figure(content, words),
        "metrics": metrics_table(content, words),
        "where": words("figure.test", count=f"{int(content.scores['test']['count']):,}"),
    }


def _trained(content: Content, words: Words) -> dict[str, Any]:
    """The plan, what it came to, and how far stages moved."""
    return {
        "plan": plan_figure(content, words),
        "planned": plan_table(content.plan, content.parts, words),
        "replayed": replayed(content, words),
        "rungs": ladder_table(content.ladder, words) if content.ladder else None,
        "curves": curves_figure(content, words) if content.history else None,
        "ended": words("curves.unkept" if content.scores["kept"].get("what") == PROBE else "curves.ring"),
        "moved": moved_figure(content, words) if any(m.distance for m in content.moved) else None,
    }


def replayed(content: Content, words: Words) -> list[str]:
    """What was stored and what that saved, in sentences."""
    own = content.replay
    if not own or own.get("unchecked") or not own.get("share"):
        return [words("replay.off")]
    share, computed = share_of(float(own["share"])), int(own.get("computed") or 0)
    said = [
        words("replay.done", computed=f"{computed:,}", share=share)
        if computed
        else words("replay.had", share=share)
    ]
    engine, precision = str(own.get("engine", "eager")), str(own.get("precision", "fp32"))
    if engine == "eager":
        said.append(words("replay.eager", precision=precision))
    else:
        speed = own.get("examples_a_second")
        ran = {
            "engine": engine,
            "precision": precision,
            "agreement": rate(float(own.get("agreement") or 0)).replace("-", "−"),
        }
        said.append(
            words("replay.engine", speed=f"{float(speed):,.0f}", **ran)
            if speed
            else words("replay.engine.slow", **ran)
        )
    if float(own.get("bound") or 1) >= LEAST_GAIN:
        said.append(words("replay.bound", bound=f"{float(own['bound']):.1f}"))
    return said


def _judged(content: Content, words: Words, lang: str) -> dict[str, Any]:
    """Health, and what to try next: each sentence with its command."""
    tried = []
    for one in content.advice:
        values = dict(one.values)
        if "metric" in values:
            values["metric"] = words.named("metric", str(values["metric"]))
        sentence = re.sub(r"(?<!\w)-(?=\d)", "−", ADVICE[one.kind][lang].format_map(values))
        tried.append((sentence, str(values.get("command") or "")))
    health = content.health
    return {"findings": told(health, words) if health is not None else [], "advice": tried}
