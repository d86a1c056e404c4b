"""Numbers: answers beside the truth, how far off they are, whether their intervals can be believed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tunesmith.data.numbers import numbers_in
from tunesmith.reports.advice import Facts
from tunesmith.reports.asked import number_of
from tunesmith.reports.chosen import EXAMPLES, evenly
from tunesmith.reports.content import Advice, Content, Shown
from tunesmith.reports.figures import SPLITS
from tunesmith.reports.kinds.kind import Had, LearnedFrom
from tunesmith.reports.kinds.numbers_figures import (
    Column,
    OfNumbers,
    columns_table,
    coverage_table,
    learned_figure,
    learned_table,
    residuals_figure,
    spread_figure,
    truth_figure,
)
from tunesmith.reports.rendering import amount, named, share_of
from tunesmith.reports.summary import made_of, noun, scored
from tunesmith.reports.words import Words

SHOWN: Final = 8  # examples that are farthest off, and that are nearest
LEVEL: Final = 0.9  # of the true numbers that an interval is to hold

Floats = NDArray[np.float64]


class Numbers:
    """One number per example, or several; see `kind.Kind`."""

    sections = ("truth", "residuals", "coverage", "columns", "extremes")
    template = "numbers.html.jinja"

    def gather(self, had: Had) -> OfNumbers:
        """The true and the answered numbers of each column, and the examples that are worst and best off."""
        truth = numbers_in(had.test.truth)
        answers = np.stack(had.test.answers) * had.labels.spreads + had.labels.means
        others = {
            "train": had.learned,
            "valid": None if had.valid is None else had.valid.truth,
        }
        known = {split: None if own is None else numbers_in(own) for split, own in others.items()}
        columns = tuple(
            Column(
                name,
                {split: () if own is None else tuple(own[:, k].tolist()) for split, own in known.items()},
                tuple(truth[:, k].tolist()),
                tuple(answers[:, k].tolist()),
                had.labels.widths[k] if had.labels.widths else None,
            )
            for k, name in enumerate(had.labels.names)
        )
        off = np.abs(answers - truth) / np.asarray(had.labels.spreads)
        order = np.argsort(-off.max(1), kind="stable")
        worst, best = order[:SHOWN], order[::-1][: min(SHOWN, max(0, len(order) - SHOWN))]
        shown = [tuple(_shown(had, columns, int(row), off) for row in rows) for rows in (worst, best)]
        had.showing.explain([one for some in shown for one in some])
        return OfNumbers(columns, *shown)

    def examples(self, had: Had) -> tuple[Shown, ...]:
        """Some, spread evenly over the range of the first column."""
        data, names = had.showing.data, had.labels.names
        if data is None:
            return ()
        numbers = numbers_in(data.train["label"][:])
        order = np.argsort(numbers[:, 0], kind="stable")
        rows = [int(order[place]) for place in evenly(len(order), EXAMPLES)]
        return tuple(
            replace(had.showing.example("train", row), truth=written(names, numbers[row])) for row in rows
        )

    def advise(self, facts: Facts, own: OfNumbers) -> Iterable[Advice]:  # noqa: ARG002
        """Nothing beside what is advised of any run."""
        return ()

    def opening(self, content: Content, words: Words) -> list[str]:
        """What numbers, how far off they are, and how far the intervals hold."""
        names = words.listed([named(name, 30) for name in content.labels], most=8)
        said = [made_of(content, words, f"short.{content.takes}.numbers", labels=names)]
        metrics = content.scores["test"]["metrics"]
        if len(content.labels) == 1:
            share = words("short.explained", share=share_of(max(0.0, metrics["r2"]["value"])))
            told = words(
                "short.off",
                count=f"{int(content.scores['test']['count']):,}",
                mae=amount(metrics["mae"]["value"]),
                name=named(content.labels[0], 30),
            )
            said.append((" " if words.lang == "en" else "").join([told, share]))
        said.append(scored(content, words))
        first = content.own.columns[0]
        if first.half is not None:
            covered = [column.covered for column in content.own.columns]
            held, all_ = sum(covered), len(first.truth) * len(covered)
            said.append(words("short.covered", level=share_of(LEVEL), held=f"{held:,}", all=f"{all_:,}"))
        return said

    def learned_from(self, content: Content, words: Words) -> LearnedFrom:
        """Examples by split, and how the true numbers are spread over their range."""
        sizes = {split: f"{content.sizes[split]:,}" for split in SPLITS}
        total = words.many(sum(content.sizes.values()), noun(content))
        return LearnedFrom(
            words("data.lead.sizes", total=total, **sizes),
            learned_figure(content.own.columns, words),
            "",
            learned_table(content.own.columns, words),
            splits=True,
        )

    def drawn(self, content: Content, words: Words) -> dict[str, Any]:
        """Answers beside the truth, residuals, coverage, each column's scores, the worst and the best."""
        own: OfNumbers = content.own
        found: dict[str, Any] = {
            "truth": truth_figure(own.columns, words),
            "residuals": {
                "over": residuals_figure(own.columns, words),
                "spread": spread_figure(own.columns, words),
            },
            "extremes": own,
        }
        if own.columns[0].half is not None:
            found["coverage"] = coverage_table(own.columns, words)
        else:
            found["coverage"] = None
        if len(own.columns) > 1:
            found["columns"] = columns_table(content, words)
        return found


def written(names: tuple[str, ...], numbers: Floats) -> str:
    """An example's numbers, named where there are several.

    >>> written(("price",), np.array([12.5])), written(("price", "weight"), np.array([12.5, 3]))
    ('12.5', 'price 12.5, weight 3')
    """
    if len(names) == 1:
        return amount(float(numbers[0]))
    return ", ".join(f"{name} {amount(float(n))}" for name, n in zip(names, numbers, strict=True))


def _shown(had: Had, columns: tuple[Column, ...], row: int, off: Floats) -> Shown:
    """A test example; explained is what moved the answer of the column that is farthest off.

    What raises the number is shown where the answer lies above the training mean, else what lowers it.
    """
    k, names = int(np.argmax(off[row])), had.labels.names
    answers = np.asarray([column.answers[row] for column in columns])
    truth = np.asarray([column.truth[row] for column in columns])
    between = None
    if columns[0].half is not None:
        half = np.asarray([column.half for column in columns], dtype=np.float64)
        between = written(names, answers - half), written(names, answers + half)
    return had.showing.answered(
        had.test.ids[row],
        written(names, truth),
        written(names, answers),
        number_of(k, up=bool(answers[k] >= had.labels.means[k])),
        between=between,
    )
