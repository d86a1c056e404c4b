"""Classes: what is taken for what, class by class, whether stated probabilities can be believed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from math import floor
from typing import Any

import numpy as np

from tunesmith.reports.advice import Facts
from tunesmith.reports.asked import odds_of
from tunesmith.reports.calibration import calibrate
from tunesmith.reports.chosen import most_confident_mistakes, some_of_each
from tunesmith.reports.content import Advice, Calibration, Content, OfClasses, Shown
from tunesmith.reports.figures import DRAWN, SPLITS, counts_figure
from tunesmith.reports.kinds.classes_advice import classes_advice
from tunesmith.reports.kinds.classes_figures import (
    calibration_figure,
    classes_table,
    confusion_figure,
    untested,
)
from tunesmith.reports.kinds.kind import Had, LearnedFrom
from tunesmith.reports.predictions import Predictions
from tunesmith.reports.rendering import named, number, share_of
from tunesmith.reports.summary import made_of, noun, scored
from tunesmith.reports.tables import LONGEST, counts_table
from tunesmith.reports.words import Words


class Classes:
    """One of several classes; see `kind.Kind`."""

    sections = ("confusion", "classes", "calibration", "mistakes")
    template = "classes.html.jinja"

    def gather(self, had: Had) -> OfClasses:
        """Counts, calibration and mistakes."""
        if had.valid is None:
            had.showing.missing["calibration"] = "not_kept"
        return OfClasses(_counts(had), _calibration(had), _mistakes(had))

    def examples(self, had: Had) -> tuple[Shown, ...]:
        """As many of every class."""
        data = had.showing.data
        if data is None:
            return ()
        rows = some_of_each(data.train["label"][:], had.labels.names)
        return tuple(had.showing.example("train", row) for row in rows)

    def advise(self, facts: Facts, own: OfClasses) -> Iterable[Advice]:
        """Which classes fail and how, and whether stated probabilities can be believed."""
        return classes_advice(facts, own)

    def opening(self, content: Content, words: Words) -> list[str]:
        """The classes, and the score as so many of 100 where it is a share of right answers."""
        made = made_of(
            content,
            words,
            f"short.{content.takes}",
            classes=words.many(len(content.labels), "classes"),
            labels=words.listed([named(label, 30) for label in content.labels], most=8),
        )
        if content.scores["metric"] != "accuracy":
            return [made, scored(content, words)]
        of_hundred = {name: floor(100 * value + 0.5) for name, value in vars(content.test).items()}
        hundred, count = (words.many(n, noun(content)) for n in (100, content.scores["test"]["count"]))
        return [made, words("short.hundred", hundred=hundred, count=count, **of_hundred)]

    def learned_from(self, content: Content, words: Words) -> LearnedFrom:
        """Examples by class and split."""
        counts, classes = content.own.counts, len(content.own.counts)
        lead = words(
            "data.lead",
            total=words.many(sum(content.sizes.values()), noun(content)),
            classes=words.many(classes, "classes"),
            **{split: f"{content.sizes[split]:,}" for split in SPLITS},
        )
        return LearnedFrom(
            lead,
            counts_figure(counts, words) if counts else None,
            words("data.most", n=f"{classes - DRAWN:,}") if classes > DRAWN else "",
            counts_table(counts, words),
            splits=True,
        )

    def drawn(self, content: Content, words: Words) -> dict[str, Any]:
        """The confusion matrix, the table of classes, calibration, mistakes."""
        own, without = content.own, untested(content)
        K = len(content.labels) - len(without)
        found: dict[str, Any] = {"mistakes": own.mistakes}
        if content.scores["test"].get("confusion"):
            found["confusion"] = confusion_figure(content, words)
            found["classes"] = {
                "table": classes_table(content, words),
                "cut": words("classes.some", n=LONGEST, all=f"{K:,}") if K > LONGEST else "",
                "untested": words("classes.untested", labels=words.listed(map(named, without)))
                if without
                else "",
            }
        if own.calibration is not None:
            found["calibration"] = {
                "figure": calibration_figure(own.calibration, words),
                "said": _calibrated(own.calibration, words),
            }
        return found


def _counts(had: Had) -> dict[str, dict[str, int]]:
    """Examples by label and split, from what the run keeps: the data may be gone."""
    labels = had.labels
    found = {name: {"train": count} for name, count in zip(labels.names, labels.counts, strict=True)}
    for split, own in (("valid", had.valid), ("test", had.test)):
        if own is not None:
            counted = Counter(own.truth)
            for name in labels.names:
                found[name][split] = counted[name]
    return found


def _calibration(had: Had) -> Calibration | None:
    if had.valid is None:
        return None
    return calibrate(*_said(had.valid), *_said(had.test))


def _said(predictions: Predictions) -> tuple[Any, Any]:
    """Probabilities [N, K], and the index of each example's class [N]."""
    return np.stack(predictions.answers), np.asarray(predictions.targets, dtype=np.int64)


def _mistakes(had: Had) -> tuple[Shown, ...]:
    names, (probabilities, truth) = had.labels.names, _said(had.test)
    guess = probabilities.argmax(1)
    shown = tuple(
        had.showing.answered(
            had.test.ids[row],
            names[truth[row]],
            names[guess[row]],
            odds_of(int(guess[row])),
            probability=float(probabilities[row].max()),
        )
        for row in most_confident_mistakes(probabilities, truth)
    )
    had.showing.explain(shown)
    return shown


def _calibrated(own: Calibration, words: Words) -> list[str]:
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
