"""The page of one run: everything that is known of it, in one file."""

from __future__ import annotations

import re
from typing import Any

from tunesmith.reports.advice_words import ADVICE, MISSING
from tunesmith.reports.content import Content
from tunesmith.reports.drawings.strip import rate
from tunesmith.reports.figures import (
    DRAWN,
    SPLITS,
    calibration_figure,
    confusion_figure,
    counts_figure,
    curves_figure,
    gap_figure,
    learning_figure,
    moved_figure,
    plan_figure,
    scores_figure,
)
from tunesmith.reports.findings import told
from tunesmith.reports.rendering import named, number, render, share_of
from tunesmith.reports.summary import doubling, facts, sentences
from tunesmith.reports.tables import (
    LONGEST,
    classes_table,
    counts_table,
    ladder_table,
    metrics_table,
    plan_table,
    untested,
)
from tunesmith.reports.words import Words
from tunesmith.verdicts.keeping import PROBE

LEAST_GAIN = 1.05  # times faster: less than that is not worth a sentence
SECTIONS = (
    "scores",
    "learning",
    "data",
    "plan",
    "ladder",
    "curves",
    "confusion",
    "classes",
    "calibration",
    "mistakes",
    "moved",
    "health",
    "next",
    "again",
)


def run_page(content: Content, *, lang: str = "en") -> str:
    """A run's report as one HTML file that loads nothing: the same content gives the same bytes.

    lang: "en" or "zh".
    Raises UnknownName for another language, MissingPackage where matplotlib or jinja2 is not installed.
    """
    words = Words(lang)
    metric = str(content.scores["metric"])
    missing = {part: MISSING[why][lang] if why in MISSING else why for part, why in content.missing.items()}
    shown = [part for part in SECTIONS if _there(part, content, missing)]
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
        metric=words.named("metric", metric),
        short=sentences(content, words),
        facts=facts(content, words),
        **_measured(content, words, shown),
        learning=learning_figure(content, words) if "learning" in shown else None,
        doubling=doubling(content, words) if "learning" in shown else "",
        **_learned(content, words),
        **_judged(content, words, lang),
    )


def _there(part: str, content: Content, missing: dict[str, str]) -> bool:
    """Whether a section has something to say, be it why it is empty."""
    held: dict[str, Any] = {
        "learning": content.scores.get("learning"),
        "ladder": content.ladder,
        "curves": content.history,
        "confusion": content.scores["test"].get("confusion"),
        "classes": content.scores["test"].get("confusion"),
        "calibration": content.calibration,
        "moved": content.moved,
        "health": content.health,
    }
    return part not in held or bool(held[part]) or part in missing


def _measured(content: Content, words: Words, shown: list[str]) -> dict[str, Any]:
    """Scores, confusion, classes and calibration."""
    count = f"{int(content.scores['test']['count']):,}"
    calibration, without = content.calibration, untested(content)
    K = len(content.labels) - len(without)
    confused = bool(content.scores["test"].get("confusion"))
    figure, below = confusion_figure(content, words) if confused else (None, [])
    return {
        "scores": scores_figure(content, words),
        "gap": gap_figure(content, words),
        "metrics": metrics_table(content, words),
        "where": words("figure.test", count=count),
        "confusion": figure,
        "confused": below,
        "classes": classes_table(content, words) if "classes" in shown and confused else None,
        "cut": words("classes.some", n=LONGEST, all=f"{K:,}") if K > LONGEST else "",
        "untested": words("classes.untested", labels=words.listed(map(named, without))) if without else "",
        "calibration": calibration_figure(content, words) if calibration else None,
        "calibrated": _calibrated(content, words) if calibration else [],
    }


def _calibrated(content: Content, words: Words) -> list[str]:
    own = content.calibration
    assert own is not None
    count = sum(n for _, _, n in own.bins) or 1
    stated = sum(said * n for said, _, n in own.bins) / count
    right = sum(was * n for _, was, n in own.bins) / count
    alike = share_of(stated) == share_of(right)
    sure = "even" if alike else "over" if stated > right else "under"
    after = {"temperature": f"{own.temperature:.2f}", "after": number(own.after_ece)}
    return [
        words(f"calibration.{sure}", stated=share_of(stated), right=share_of(right)),
        words("calibration.ece", ece=number(own.ece), **after),
    ]


def _learned(content: Content, words: Words) -> dict[str, Any]:
    """Data, plan, curves and how far stages moved."""
    sizes = {split: sum(own.get(split, 0) for own in content.counts.values()) for split in SPLITS}
    noun, classes = ("images" if content.takes == "image" else "texts"), len(content.counts)
    lead = words(
        "data.lead",
        total=words.many(sum(sizes.values()), noun),
        classes=words.many(classes, "classes"),
        **{split: f"{n:,}" for split, n in sizes.items()},
    )
    return {
        "lead": lead,
        "counts": counts_figure(content.counts, words) if content.counts else None,
        "counted": counts_table(content.counts, words),
        "undrawn": words("data.most", n=f"{classes - DRAWN:,}") if classes > DRAWN else "",
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
