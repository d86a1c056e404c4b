"""The figures and the table of a page that are of classes alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from tunesmith.reports.content import Calibration, Content
from tunesmith.reports.drawings.confusion import MOST, confusion
from tunesmith.reports.drawings.reliability import reliability
from tunesmith.reports.figures import score_of, span
from tunesmith.reports.rendering import Table, capital, named, number, safe
from tunesmith.reports.tables import LONGEST
from tunesmith.reports.words import Words

OF_CLASS: Final = ("precision", "recall", "f1")


def confusion_figure(content: Content, words: Words) -> dict[str, Any]:
    """The matrix of the test split, and what stands below it: how much is shown, what is confused most."""
    matrix = content.scores["test"]["confusion"]
    counts, K = np.asarray(matrix), len(content.labels)
    right, total = int(np.trace(counts)), int(counts.sum())
    alt = words("confusion.alt", classes=words.many(K, "classes"), right=f"{right:,}", count=f"{total:,}")
    labels = [named(label, 30) for label in content.labels]
    drawing = confusion("confusion", alt, matrix, labels, words("confusion.truth"), words("confusion.said"))
    below = [words("confusion.some", n=MOST, all=f"{K:,}")] if K > MOST else []
    wrong = counts - np.diag(np.diag(counts))
    if not wrong.any():
        return {"figure": safe(drawing), "below": [*below, words("confusion.none")]}
    pairs = [divmod(int(at), K) for at in np.argsort(-wrong, axis=None, kind="stable")[:3]]
    said = [
        words("confusion.pair", truth=labels[i], said=labels[j], count=int(wrong[i, j]))
        for i, j in pairs
        if wrong[i, j]
    ]
    return {"figure": safe(drawing), "below": [*below, words("confusion.most", pairs=words.listed(said))]}


def calibration_figure(own: Calibration, words: Words) -> Any:
    """Stated against true, as it is and with the temperature."""
    told = {"ece": number(own.ece), "temperature": f"{own.temperature:.2f}", "after": number(own.after_ece)}
    panels = [
        (words("calibration.before", ece=told["ece"]), own.bins),
        (
            words("calibration.after", temperature=told["temperature"], ece=told["after"]),
            own.after_bins,
        ),
    ]
    axes = words("calibration.stated"), words("calibration.right")
    return safe(reliability("calibration", words("calibration.alt", **told), panels, *axes))


def untested(content: Content) -> list[str]:
    """The classes without test examples: of them nothing was measured, and their F1 of 0 says nothing."""
    return [label for label in content.labels if not content.own.counts.get(label, {}).get("test")]


def classes_table(content: Content, words: Words) -> Table:
    """Precision, recall and F1 of each class on the test split, the weakest first; untested ones not."""
    told: Mapping[str, Any] = content.scores["test"]["metrics"]
    without = set(untested(content))
    known = [label for label in content.labels if f"f1/{label}" in told and label not in without]
    weakest = sorted(known, key=lambda label: told[f"f1/{label}"]["value"])[:LONGEST]
    rows = []
    for label in weakest:
        scores = {name: score_of(told[f"{name}/{label}"]) for name in OF_CLASS}
        count = content.own.counts[label]["test"]
        numbers = [number(scores[name].value) for name in OF_CLASS]
        rows.append((named(label), f"{count:,}", *numbers, span(scores["f1"], words)))
    metrics = [capital(words.named("metric", name)) for name in OF_CLASS]
    interval = f"{words.named('metric', 'f1')}: {words('scores.interval')}"
    heading = (words("data.class"), words("count"), *metrics, interval)
    return Table(heading, tuple(rows), frozenset(range(1, len(heading))))
