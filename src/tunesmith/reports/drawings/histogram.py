"""How often numbers occur: standing bars over their range."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from tunesmith.reports.colours import stand_in
from tunesmith.reports.drawings.canvas import LETTERS, WIDE, Canvas, drawn, shortened

HEAD: Final = 26.0
HEIGHT: Final = 130.0
FOOT: Final = 40.0
LEFT: Final = 44.0


@dataclass(frozen=True)
class Heap:
    """A panel: counts between edges, stacked.

    edges: one more than there are bars. counts: of each layer, the lowest first. colours: of the layers.
    marks: where dashed lines stand.
    """

    title: str
    edges: Sequence[float]
    counts: Sequence[Sequence[int]]
    colours: Sequence[str]
    marks: Sequence[float] = ()


def histogram(name: str, alt: str, heaps: Sequence[Heap]) -> str:
    """A panel beside the other, two in a row, or one below the other where there is no room."""

    def paint(width: float) -> Canvas:
        columns = min(2, len(heaps)) if width >= WIDE else 1
        each = (width - (LEFT + 14) * columns) / columns
        rows = -(-len(heaps) // columns)
        canvas = Canvas(width, (HEAD + HEIGHT + FOOT) * rows)
        for i, heap in enumerate(heaps):
            left = LEFT + (i % columns) * (each + LEFT + 14)
            _panel(canvas, heap, left, (i // columns) * (HEAD + HEIGHT + FOOT), each)
        return canvas

    return drawn(name, alt, paint)


def _panel(canvas: Canvas, heap: Heap, left: float, top: float, width: float) -> None:
    from matplotlib.patches import Rectangle

    axes = canvas.axes(left, top + HEAD, width, HEIGHT)
    totals = [sum(own) for own in zip(*heap.counts, strict=True)]
    axes.set(xlim=(heap.edges[0], heap.edges[-1]), ylim=(0, 1.05 * max([1, *totals])))
    ticks_of(axes.xaxis, 5)
    ticks_of(axes.yaxis, 3, whole=True)
    axes.set_axisbelow(True)
    axes.grid(axis="y", color=stand_in("line"), linewidth=0.8)
    for i, (low, high) in enumerate(zip(heap.edges, heap.edges[1:], strict=False)):
        floor, gap = 0.0, 0.08 * (high - low)
        for own, colour in zip(heap.counts, heap.colours, strict=True):
            box = Rectangle((low + gap, floor), high - low - 2 * gap, own[i], linewidth=0)
            box.set_facecolor(stand_in(colour))
            axes.add_patch(box)
            floor += own[i]
    for mark in heap.marks:
        axes.axvline(mark, color=stand_in("muted"), linewidth=1.2, linestyle=(0, (4, 3)))
    whole: Any = canvas.pixels()
    title = shortened(heap.title, width)
    whole.text(left, top + 9, title, fontsize=LETTERS, color=stand_in("ink"), fontweight="bold",
               va="center_baseline")  # fmt: skip


def ticks_of(axis: Any, count: int, *, whole: bool = False) -> None:
    """At most so many marks on an axis, written as numbers are on the page.

    whole: at whole numbers alone, as counts are.
    """
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axis.set_major_locator(MaxNLocator(count, steps=[1, 2, 2.5, 5, 10], integer=whole))
    axis.set_major_formatter(FuncFormatter(lambda value, _: _written(value)))


def _written(value: float) -> str:
    """A number as a mark of an axis says it.

    >>> _written(150000.0), _written(-0.25), _written(3e9)
    ('150,000', '−0.25', '3e+09')
    """
    large = abs(value) >= 1e7 or 0 < abs(value) < 1e-4
    return (f"{value:.3g}" if large else f"{value:,.10g}").replace("-", "−")
