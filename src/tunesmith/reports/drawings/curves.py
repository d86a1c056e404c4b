"""Loss and metric over the epochs, phase by phase."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import isfinite
from typing import Any, Final

from tunesmith.reports.colours import stand_in
from tunesmith.reports.drawings.canvas import LETTERS, WIDE, Canvas, drawn, extent, shortened

HEIGHT: Final = 190.0
HEAD: Final = 52.0  # above the plot: what it shows, and the phases


@dataclass(frozen=True)
class Line:
    """One number of the history: its key, how it is called, and the colour it is painted in."""

    key: str
    name: str
    colour: str


@dataclass(frozen=True)
class Panel:
    """A plot of lines that share a scale."""

    title: str
    lines: tuple[Line, ...]


def curves(
    name: str,
    alt: str,
    history: Sequence[Mapping[str, Any]],
    panels: Sequence[Panel],
    *,
    kept: int | None,
    kept_word: str,
    epoch_word: str,
) -> str:
    """A panel beside the other, or below it where there is no room.

    kept: the row of the history whose network was kept.
    """

    def paint(width: float) -> Canvas:
        columns = len(panels) if width >= WIDE else 1
        each = (width - 28 * (columns - 1)) / columns
        canvas = Canvas(width, (HEAD + HEIGHT + 44) * (len(panels) // columns))
        for i, panel in enumerate(panels):
            left = (i % columns) * (each + 28)
            top = (i // columns) * (HEAD + HEIGHT + 44)
            _panel(canvas, panel, history, left, top, each, kept, kept_word, epoch_word)
        return canvas

    return drawn(name, alt, paint)


def _panel(
    canvas: Canvas,
    panel: Panel,
    history: Sequence[Mapping[str, Any]],
    left: float,
    top: float,
    width: float,
    kept: int | None,
    kept_word: str,
    epoch_word: str,
) -> None:
    margin = 38.0
    axes = canvas.axes(left + margin, top + HEAD, width - margin - 8, HEIGHT)
    count = len(history)
    axes.set_xlim(0.5, count + 0.5)
    for i, line in enumerate(panel.lines):
        points = [(at + 1, row[line.key]) for at, row in enumerate(history) if _number(row.get(line.key))]
        shape = {"linewidth": 2.2, "linestyle": "--" if i else "-", "color": stand_in(line.colour)}
        mark = {"marker": "o" if count <= 15 else "", "markersize": 5, "zorder": 3 - i}
        axes.plot([x for x, _ in points], [y for _, y in points], **shape, **mark)
    if kept is not None:
        value = history[kept].get(panel.lines[0].key)
        if _number(value):
            ring = {"markersize": 13, "markerfacecolor": "none", "markeredgewidth": 1.6}
            own = stand_in(panel.lines[0].colour)
            axes.plot([kept + 1], [value], "o", markeredgecolor=own, clip_on=False, **ring)
    _scales(axes)
    _titles(canvas, panel, left, top, kept_word if kept is not None else "")
    _phases(canvas, axes, history, left + margin, top, width - margin - 8)
    foot = {"fontsize": LETTERS - 1, "color": stand_in("muted"), "ha": "right", "va": "center_baseline"}
    canvas.pixels().text(left + width - 8, top + HEAD + HEIGHT + 32, epoch_word, **foot)


def _scales(axes: Any) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.margins(y=0.12)
    axes.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
    axes.grid(axis="y", color=stand_in("line"), linewidth=0.8)


def _titles(canvas: Canvas, panel: Panel, left: float, top: float, kept_word: str) -> None:
    """What is shown, each name in the colour and with the dash of its line."""
    whole = canvas.pixels()
    style = {"va": "center_baseline", "fontsize": LETTERS}
    whole.text(left, top + 9, panel.title, color=stand_in("ink"), fontweight="bold", **style)
    x = left + extent(panel.title) * 1.08 + 16
    for i, line in enumerate(panel.lines):
        dash = {"linestyle": (0, (3, 2)) if i else "-", "linewidth": 2.2, "color": stand_in(line.colour)}
        whole.plot([x, x + 16], [top + 9, top + 9], solid_capstyle="butt", **dash)
        whole.text(x + 22, top + 9, line.name, color=stand_in("muted"), **style)
        x += 38 + extent(line.name)
    if kept_word:
        ring = {"markersize": 9, "markerfacecolor": "none", "markeredgewidth": 1.6}
        whole.plot([x + 4], [top + 9], "o", markeredgecolor=stand_in(panel.lines[0].colour), **ring)
        whole.text(x + 14, top + 9, kept_word, color=stand_in("muted"), **style)


def _phases(
    canvas: Canvas, axes: Any, history: Sequence[Mapping[str, Any]], left: float, top: float, width: float
) -> None:
    whole, each, begun = canvas.pixels(), width / len(history), 0
    for phase, rows in groupby(history, key=lambda row: str(row["phase"])):
        count = len(list(rows))
        if begun:
            axes.axvline(begun + 0.5, color=stand_in("line"), linewidth=1.2)
        words = shortened(phase, each * count - 4, LETTERS - 1)
        if len(words) > 1:
            middle = left + each * (begun + count / 2)
            style = {"ha": "center", "va": "center_baseline", "fontsize": LETTERS - 1}
            whole.text(middle, top + HEAD - 12, words, color=stand_in("muted"), **style)
        begun += count


def _number(value: object) -> bool:
    return isinstance(value, int | float) and isfinite(value)
