"""Bars: how many examples a class has, how far a stage has moved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tunesmith.reports.colours import stand_in
from tunesmith.reports.drawings.canvas import LETTERS, WIDE, Canvas, drawn, extent, shortened

ROW: Final = 24.0


@dataclass(frozen=True)
class Bar:
    """A bar of one or more parts, with its name before it and what it comes to behind it.

    colours: of the parts, by the page's names; quiet: written in grey.
    """

    name: str
    parts: tuple[float, ...]
    colours: tuple[str, ...]
    said: str
    quiet: bool = False


def bars(name: str, alt: str, rows: Sequence[Bar]) -> str:
    """Lying bars from 0, in the order given."""
    return drawn(name, alt, lambda width: _painted(width, rows))


def _painted(width: float, rows: Sequence[Bar]) -> Canvas:
    from matplotlib.patches import Rectangle

    left = min(200.0 if width >= WIDE else 120.0, 14 + max(extent(row.name) for row in rows))
    right = 12 + max(extent(row.said) for row in rows)
    step = ROW if len(rows) <= 30 else 18.0
    canvas = Canvas(width, step * len(rows))
    axes = canvas.pixels()
    scale = (width - left - right) / (max(sum(row.parts) for row in rows) or 1.0)
    for i, row in enumerate(rows):
        y, x = step * (i + 0.5), left
        style = {"va": "center_baseline", "fontsize": LETTERS}
        ink = stand_in("muted" if row.quiet else "ink")
        axes.text(left - 10, y, shortened(row.name, left - 12), ha="right", color=ink, **style)
        for part, colour in zip(row.parts, row.colours, strict=True):
            box = Rectangle(
                (x, y - 5), max(part * scale, 0), 10, facecolor=stand_in(colour), edgecolor="none"
            )
            axes.add_patch(box)
            x += part * scale
        axes.text(x + 8, y, row.said, color=ink, **style)
    return canvas
