"""Scores as intervals on one axis: what overlaps is seen before a number is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tunesmith.evaluation import Score
from tunesmith.reports.colours import stand_in
from tunesmith.reports.drawings.canvas import LETTERS, WIDE, Canvas, drawn, extent, shortened
from tunesmith.reports.drawings.histogram import ticks_of

ROW = 40


@dataclass(frozen=True)
class Row:
    """A score with its name and how it is written; `own`: what the page is about."""

    name: str
    score: Score
    said: str
    own: bool = False


def intervals(name: str, alt: str, rows: Sequence[Row], *, zero: bool = False) -> str:
    """A line from the lower to the upper end of each interval, a point at the value.

    zero: a mark at 0, where there is no difference.
    """
    return drawn(name, alt, lambda width: _painted(width, rows, zero))


def _painted(width: float, rows: Sequence[Row], zero: bool) -> Canvas:
    beside = width >= WIDE  # names stand beside the lines, or above them where there is no room
    left = min(240.0, 20 + max(extent(row.name) for row in rows)) if beside else 8.0
    right = 14 + max(extent(row.said) for row in rows) if beside else 14.0
    step = ROW if beside else ROW + 10
    canvas = Canvas(width, step * len(rows) + 34)
    axes = canvas.axes(left, 0, width - left - right, step * len(rows))
    low, high = _range(rows, zero)
    axes.set(xlim=(low, high), ylim=(len(rows) - 0.5, -0.5), yticks=[])
    if max(abs(low), abs(high)) < 1000:
        axes.xaxis.set_major_locator(_ticks(5 if beside else 4))
    else:
        ticks_of(axes.xaxis, 5 if beside else 4)
    # Where names stand above the lines, marks reach no higher than the lines do.
    above, below = (0.5, 0.5) if beside else (-0.02, 0.42)
    marks = [tick for tick in axes.get_xticks() if low <= tick <= high]
    for i in range(len(rows)):
        axes.vlines(marks, i - above, i + below, color=stand_in("line"), linewidth=0.8)
        if zero:
            axes.vlines([0], i - above, i + below, color=stand_in("muted"), linewidth=1.2)
    whole = canvas.pixels()
    for i, row in enumerate(rows):
        colour = stand_in("accent" if row.own else "muted")
        y = i if beside else i + 0.2
        axes.plot([row.score.low, row.score.high], [y, y], color=colour, linewidth=3, clip_on=False)
        axes.plot([row.score.value], [y], "o", color=colour, markersize=10, clip_on=False)
        middle = step * (i + 0.5) if beside else step * i + 14
        ink = stand_in("ink" if row.own else "muted")
        style = {"va": "center_baseline", "fontsize": LETTERS, "color": ink}
        weight = "bold" if row.own else "normal"
        room = left - 12 if beside else width - extent(row.said) - 24
        whole.text(0, middle, shortened(row.name, room), fontweight=weight, **style)
        whole.text(width, middle, row.said, ha="right", fontweight=weight, **style)
    return canvas


def _range(rows: Sequence[Row], zero: bool) -> tuple[float, float]:
    low = min(row.score.low for row in rows)
    high = max(row.score.high for row in rows)
    inside = low >= 0 and high <= 1 and not zero
    if zero:
        low, high = min(low, 0.0), max(high, 0.0)
    room = 0.06 * (high - low) or 0.05
    low, high = low - room, high + room
    return (max(low, 0.0), min(high, 1.0)) if inside else (low, high)


def _ticks(count: int) -> Any:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(count, steps=[1, 2, 2.5, 5, 10])
