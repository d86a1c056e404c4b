"""Numbers against numbers: a point per example, and the room around a line that points should keep to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from tunesmith.reports.colours import stand_in
from tunesmith.reports.drawings.canvas import LETTERS, WIDE, Canvas, drawn, shortened
from tunesmith.reports.drawings.histogram import ticks_of

HEAD: Final = 26.0
FOOT: Final = 62.0
LEFT: Final = 76.0


@dataclass(frozen=True)
class Cloud:
    """A panel of points.

    title: above it. x, y: of each point. across, up: what the axes say.
    slope: of the line through 0 that points should lie on: 1 where both are equal, 0 for residuals.
    half: how far above and below the line the interval reaches; None without. Points outside are warm.
    """

    title: str
    x: Sequence[float]
    y: Sequence[float]
    across: str
    up: str
    slope: float
    half: float | None


def points(name: str, alt: str, clouds: Sequence[Cloud]) -> str:
    """A panel beside the other, two in a row, or one below the other where there is no room."""

    def paint(width: float) -> Canvas:
        columns = min(2, len(clouds)) if width >= WIDE else 1
        each = width / columns - LEFT - 14
        high = min(each, 300.0)
        rows = -(-len(clouds) // columns)
        canvas = Canvas(width, (HEAD + high + FOOT) * rows)
        for i, cloud in enumerate(clouds):
            left, top = LEFT + (i % columns) * (each + LEFT + 14), (i // columns) * (HEAD + high + FOOT)
            _panel(canvas, cloud, left, top, each, high)
        return canvas

    return drawn(name, alt, paint)


def _panel(canvas: Canvas, cloud: Cloud, left: float, top: float, wide: float, high: float) -> None:
    axes = canvas.axes(left, top + HEAD, wide, high)
    across, up = _ends(cloud)
    axes.set(xlim=across, ylim=up)
    ticks_of(axes.xaxis, 4)
    ticks_of(axes.yaxis, 5)
    axes.grid(color=stand_in("line"), linewidth=0.8)
    line = [cloud.slope * x for x in across]
    if cloud.half is not None:
        edges = ([y + sign * cloud.half for y in line] for sign in (-1, 1))
        axes.fill_between(across, *edges, color=stand_in("soft"), alpha=0.45, linewidth=0)
    axes.plot(across, line, color=stand_in("muted"), linewidth=1.2, linestyle=(0, (4, 3)))
    half = float("inf") if cloud.half is None else cloud.half
    for colour, inside in (("accent", True), ("warm", False)):
        rows = [i for i, x in enumerate(cloud.x) if (abs(cloud.y[i] - cloud.slope * x) <= half) == inside]
        axes.plot(
            [cloud.x[i] for i in rows],
            [cloud.y[i] for i in rows],
            "o",
            color=stand_in(colour),
            markersize=5,
            alpha=0.7,
            markeredgewidth=0,
        )
    _words(canvas, cloud, left, top, wide, high)


def _words(canvas: Canvas, cloud: Cloud, left: float, top: float, wide: float, high: float) -> None:
    whole: Any = canvas.pixels()
    small = {"fontsize": LETTERS - 1, "va": "center_baseline", "color": stand_in("muted")}
    title = shortened(cloud.title, wide)
    whole.text(left, top + 9, title, color=stand_in("ink"), fontweight="bold", va="center_baseline")
    whole.text(left + wide, top + HEAD + high + 40, shortened(cloud.across, wide), ha="right", **small)
    turned = {"rotation": 90, "rotation_mode": "anchor", "ha": "center"}
    whole.text(left - LEFT + 12, top + HEAD + high / 2, shortened(cloud.up, high), **turned, **small)


def _ends(cloud: Cloud) -> tuple[tuple[float, float], tuple[float, float]]:
    """The ends of both axes: the same where the line is that of equal numbers."""
    x, y = _with_room(cloud.x), _with_room(cloud.y if cloud.slope else [*cloud.y, 0.0])
    if cloud.slope:
        x = y = min(x[0], y[0]), max(x[1], y[1])
    return x, y


def _with_room(values: Sequence[float]) -> tuple[float, float]:
    least, most = min(values), max(values)
    room = 0.05 * (most - least) or 0.05 * abs(most) or 1.0
    return least - room, most + room
