"""How sure the network says it is, against how often it is right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tunesmith.reports.colours import stand_in
from tunesmith.reports.drawings.canvas import LETTERS, WIDE, Canvas, drawn

Bins = Sequence[tuple[float, float, int]]
HEAD: Final = 26.0


def reliability(name: str, alt: str, panels: Sequence[tuple[str, Bins]], stated: str, right: str) -> str:
    """A panel per title: a point per tenth, the larger the more examples; on the line is honest.

    stated, right: what the axes say.
    """

    def paint(width: float) -> Canvas:
        columns = len(panels) if width >= WIDE else 1
        side = 250.0 if width >= WIDE else width - 76
        canvas = Canvas(width, (HEAD + side + 62) * (len(panels) // columns))
        for i, (title, bins) in enumerate(panels):
            left = 56 + (i % columns) * (side + 90)
            _panel(canvas, title, bins, left, (i // columns) * (HEAD + side + 62), side, stated, right)
        return canvas

    return drawn(name, alt, paint)


def _panel(
    canvas: Canvas, title: str, bins: Bins, left: float, top: float, side: float, stated: str, right: str
) -> None:
    axes = canvas.axes(left, top + HEAD, side, side)
    axes.tick_params(pad=11)  # a large dot on the edge covers no number
    ticks = [0, 0.25, 0.5, 0.75, 1]
    axes.set(xlim=(0, 1), ylim=(0, 1), xticks=ticks, yticks=ticks)
    axes.set_xticklabels([f"{100 * t:.0f} %" for t in ticks])
    axes.set_yticklabels([f"{100 * t:.0f} %" for t in ticks])
    axes.grid(color=stand_in("line"), linewidth=0.8)
    axes.plot([0, 1], [0, 1], color=stand_in("muted"), linewidth=1.2, linestyle=(0, (4, 3)))
    most = max((count for _, _, count in bins), default=1)
    for said, was, count in bins:
        axes.plot([said, said], [said, was], color=stand_in("warm"), linewidth=1.6, clip_on=False)
        size = 5 + 11 * (count / most) ** 0.5
        axes.plot([said], [was], "o", color=stand_in("accent"), markersize=size, clip_on=False)
    whole, small = canvas.pixels(), {"fontsize": LETTERS - 1, "va": "center_baseline"}
    whole.text(left, top + 9, title, color=stand_in("ink"), fontweight="bold", va="center_baseline")
    whole.text(left + side, top + HEAD + side + 42, stated, ha="right", color=stand_in("muted"), **small)
    turned = {"rotation": 90, "rotation_mode": "anchor", "ha": "center"}
    whole.text(left - 50, top + HEAD + side / 2, right, color=stand_in("muted"), **turned, **small)
