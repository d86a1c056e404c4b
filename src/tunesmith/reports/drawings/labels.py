"""Scores over the number of labels, with and without pretraining."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from tunesmith.reports.colours import stand_in
from tunesmith.reports.drawings.canvas import LETTERS, Canvas, drawn, extent

HEIGHT: Final = 200.0
HEAD: Final = 34.0  # above the plot: which line is which


@dataclass(frozen=True)
class Learned:
    """A line: its name, its colour, and a score for each number of labels."""

    name: str
    colour: str
    points: tuple[tuple[int, float], ...]


def labels(name: str, alt: str, lines: Sequence[Learned], axis: str) -> str:
    """Lines over the number of labels, which stands on a logarithmic scale. axis: what is counted."""
    return drawn(name, alt, lambda width: _painted(width, lines, axis))


def _painted(width: float, lines: Sequence[Learned], axis: str) -> Canvas:
    margin = 44.0
    canvas = Canvas(width, HEAD + HEIGHT + 46)
    axes = canvas.axes(margin, HEAD, width - margin - 16, HEIGHT)
    axes.set_xscale("log")
    for i, line in enumerate(lines):
        shape = {"linewidth": 2.2, "linestyle": "--" if i else "-", "color": stand_in(line.colour)}
        x, y = zip(*line.points, strict=True)
        axes.plot(x, y, marker="o", markersize=6, zorder=3 - i, **shape)
    _scales(axes, sorted({n for line in lines for n, _ in line.points}), width)
    whole, left = canvas.pixels(), 0.0
    style = {"va": "center_baseline", "fontsize": LETTERS}
    for i, line in enumerate(lines):
        dash = {"linestyle": (0, (3, 2)) if i else "-", "linewidth": 2.2, "color": stand_in(line.colour)}
        whole.plot([left, left + 16], [9, 9], solid_capstyle="butt", **dash)
        whole.text(left + 22, 9, line.name, color=stand_in("muted"), **style)
        left += 38 + extent(line.name) * 1.05
    foot = {"fontsize": LETTERS - 1, "color": stand_in("muted"), "ha": "right", "va": "center_baseline"}
    whole.text(width - 16, HEAD + HEIGHT + 34, axis, **foot)
    return canvas


def _scales(axes: Any, counts: Sequence[int], width: float) -> None:
    from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

    room = 46 / width  # of a number, as a share of the scale; numbers that would touch are left out
    shown: list[int] = []
    span = max(counts) / min(counts)
    for count in reversed(counts):
        near = shown and _share(count, shown[-1], span) < room
        if not near:
            shown.append(count)
    axes.xaxis.set_major_locator(FixedLocator(shown))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{round(value):,}"))
    axes.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))
    axes.margins(x=0.03, y=0.12)
    axes.grid(axis="y", color=stand_in("line"), linewidth=0.8)


def _share(one: int, other: int, span: float) -> float:
    """How far apart two numbers stand on a logarithmic scale from 0 to 1."""
    from math import log

    return abs(log(other / one)) / log(span) if span > 1 else 1.0
