"""The figures and tables of a page that are of numbers alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from tunesmith.reports.content import Content, Shown
from tunesmith.reports.drawings.histogram import Heap, histogram
from tunesmith.reports.drawings.points import Cloud, points
from tunesmith.reports.figures import SPLITS, TINTS, score_of, span
from tunesmith.reports.rendering import Table, amount, capital, named, number, safe, share_of
from tunesmith.reports.words import Words

DRAWN: Final = 500  # examples of a cloud; more would be a blot, and a page of megabytes
PANELS: Final = 6  # columns that are drawn; a table has all
BARS: Final = 24
OF_COLUMN: Final = ("rmse", "mae", "r2", "spearman")


@dataclass(frozen=True)
class Column:
    """One column of numbers, in the person's unit.

    known: the true numbers of the training and validation split, as far as the run kept them.
    truth, answers: of the test examples, in order. half: half of the interval around an answer; None where
        there were too few validation examples for one.
    """

    name: str
    known: Mapping[str, tuple[float, ...]]
    truth: tuple[float, ...]
    answers: tuple[float, ...]
    half: float | None

    @property
    def covered(self) -> int:
        """How many test examples have their true number inside the interval."""
        half = -1.0 if self.half is None else self.half
        return sum(abs(a - b) <= half for a, b in zip(self.truth, self.answers, strict=True))

    @property
    def residuals(self) -> tuple[float, ...]:
        """How much too high each answer is."""
        return tuple(a - b for a, b in zip(self.answers, self.truth, strict=True))


@dataclass(frozen=True)
class OfNumbers:
    """What the page of a run tells of numbers alone.

    worst, best: test examples whose answers are farthest from the truth, and nearest, of several columns by
    the one that is farthest off in spreads of the training split.
    """

    columns: tuple[Column, ...]
    worst: tuple[Shown, ...]
    best: tuple[Shown, ...]


def truth_figure(columns: Sequence[Column], words: Words) -> dict[str, Any]:
    """Answers over true numbers, and what stands below."""
    clouds = [
        _cloud(one, one.truth, one.answers, words("truth.true"), words("truth.said"), slope=1.0)
        for one in columns[:PANELS]
    ]
    said = "; ".join(
        words("truth.alt.row", name=named(one.name, 40), r=number(_correlation(one.truth, one.answers)))
        for one in columns[:PANELS]
    )
    return {
        "figure": safe(points("truth", words("truth.alt", rows=said), clouds)),
        "below": _cut(columns, words),
    }


def residuals_figure(columns: Sequence[Column], words: Words) -> Any:
    """How much too high each answer is, over the answer."""
    clouds = [
        _cloud(one, one.answers, one.residuals, words("truth.said"), words("residuals.off"), slope=0.0)
        for one in columns[:PANELS]
    ]
    return safe(points("residuals", words("residuals.alt", rows=_shifted(columns, words)), clouds))


def spread_figure(columns: Sequence[Column], words: Words) -> Any:
    """How often answers are how far off."""
    heaps = []
    for one in columns[:PANELS]:
        counts, edges = np.histogram(one.residuals, bins=_bars(len(one.truth)))
        heaps.append(
            Heap(named(one.name, 40), edges.tolist(), [counts.tolist()], [TINTS["test"]], marks=(0.0,))
        )
    return safe(histogram("spread", words("spread.alt", rows=_shifted(columns, words)), heaps))


def learned_figure(columns: Sequence[Column], words: Words) -> Any:
    """How the true numbers of every split lie over their range."""
    heaps, said = [], []
    for one in columns[:PANELS]:
        own = {**one.known, "test": one.truth}
        every = np.concatenate([own[split] for split in SPLITS])
        edges = np.histogram_bin_edges(every, bins=_bars(len(every)))
        counts = [np.histogram(own[split], bins=edges)[0].tolist() for split in SPLITS]
        heaps.append(Heap(named(one.name, 40), edges.tolist(), counts, [TINTS[s] for s in SPLITS]))
        spread = words("health.spread", **_spread(every))
        said.append(f"{named(one.name, 40)}: {spread}")
    return safe(histogram("numbers", words("numbers.alt", rows="; ".join(said)), heaps))


def learned_table(columns: Sequence[Column], words: Words) -> Table:
    """Least, middle and largest number of each column and split."""
    rows = []
    for one in columns:
        own = {**one.known, "test": one.truth}
        for split in SPLITS:
            if own[split]:
                told = _spread(np.asarray(own[split]))
                named_ = words.named("split", split)
                rows.append((named(one.name), named_, f"{len(own[split]):,}", *told.values()))
    heading = [words(f"numbers.{name}") for name in ("column", "split")]
    heading += [words("count"), *(words(f"numbers.{name}") for name in ("least", "middle", "most"))]
    return Table(tuple(heading), tuple(rows), frozenset(range(2, 6)))


def coverage_table(columns: Sequence[Column], words: Words) -> Table:
    """The interval of each column, and how many test examples have their true number inside."""
    rows = []
    for one in columns:
        assert one.half is not None
        count = len(one.truth)
        low, high = _binomial(one.covered, count)
        held = words("coverage.held", held=f"{one.covered:,}", count=f"{count:,}")
        interval = words("interval", low=share_of(low), high=share_of(high))
        rows.append((named(one.name), f"± {amount(one.half)}", held, share_of(one.covered / count), interval))
    heading = [words("numbers.column"), *(words(f"coverage.{n}") for n in ("half", "inside", "share"))]
    return Table((*heading, words("scores.interval")), tuple(rows), frozenset({1, 2, 3, 4}))


def columns_table(content: Content, words: Words) -> Table:
    """The scores of each column in its own unit."""
    told, rows = content.scores["test"]["metrics"], []
    for name in content.labels:
        scores = {metric: score_of(told[f"{metric}/{name}"]) for metric in OF_COLUMN}
        numbers = [number(score.value, metric) for metric, score in scores.items()]
        rows.append((named(name), *numbers, span(scores["rmse"], words, "rmse")))
    metrics = [capital(words.named("metric", name)) for name in OF_COLUMN]
    interval = f"{words.named('metric', 'rmse')}: {words('scores.interval')}"
    return Table((words("numbers.column"), *metrics, interval), tuple(rows), frozenset(range(1, 6)))


def _bars(count: int) -> int:
    """How many bars so many numbers are told by: twice the root, as far as there is room."""
    return min(BARS, max(6, round(2 * math.sqrt(count))))


def _cloud(
    one: Column, x: Sequence[float], y: Sequence[float], across: str, up: str, *, slope: float
) -> Cloud:
    """The panel of a column: some of its points, with the band of its intervals."""
    return Cloud(named(one.name, 40), *_some(x, y), across, up, slope, one.half)


def _some(x: Sequence[float], y: Sequence[float]) -> tuple[list[float], list[float]]:
    """At most 500 pairs, drawn without regard to what they hold, the same ones each time."""
    if len(x) <= DRAWN:
        return list(x), list(y)
    rows = np.sort(np.random.default_rng(0).choice(len(x), DRAWN, replace=False))
    return [x[row] for row in rows], [y[row] for row in rows]


def _cut(columns: Sequence[Column], words: Words) -> str:
    """How much of it is drawn, where that is not all."""
    count, said = len(columns[0].truth), []
    if count > DRAWN:
        said.append(words("truth.some", n=f"{DRAWN:,}", all=f"{count:,}"))
    if len(columns) > PANELS:
        said.append(words("truth.columns", n=f"{PANELS:,}", all=f"{len(columns):,}"))
    return (" " if words.lang == "en" else "").join(said)


def _shifted(columns: Sequence[Column], words: Words) -> str:
    """Of each column how far off answers are on average, with their sign."""
    return "; ".join(
        words("residuals.alt.row", name=named(one.name, 40), mean=amount(float(np.mean(one.residuals))))
        for one in columns[:PANELS]
    )


def _spread(numbers: Any) -> dict[str, str]:
    ends = {"least": numbers.min(), "middle": np.median(numbers), "most": numbers.max()}
    return {name: amount(float(value)) for name, value in ends.items()}


def _correlation(a: Sequence[float], b: Sequence[float]) -> float:
    flat = np.ptp(a) == 0 or np.ptp(b) == 0
    return 0.0 if flat else float(np.corrcoef(a, b)[0, 1])


def _binomial(held: int, count: int) -> tuple[float, float]:
    """The share's 95 % interval (Clopper & Pearson 1934)."""
    from scipy.stats import binomtest  # type: ignore[import-untyped]

    found = binomtest(held, count).proportion_ci(0.95)
    return float(found.low), float(found.high)
