"""A plan as a picture: depth against phase, the learning rate as a colour, frozen grey."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby
from typing import Any

from tunesmith.plan import Plan
from tunesmith.reports.colours import STEPS, stand_in
from tunesmith.reports.drawings.canvas import LETTERS, WIDE, Canvas, drawn, extent, shortened

LABELLED = 26  # with more stages than these, only every second, third ... is named
LEAST = 0.13  # share of the width that even the shortest phase gets


def strip(name: str, alt: str, plan: Plan, parts: Sequence[str], frozen: str, epochs: Sequence[str]) -> str:
    """A row per stage, the head on top; a column per phase, the wider the longer it lasts.

    frozen: the word for it. epochs: what stands under each phase.
    """
    return drawn(name, alt, lambda width: _painted(width, plan, parts, frozen, epochs))


def _painted(width: float, plan: Plan, parts: Sequence[str], frozen: str, epochs: Sequence[str]) -> Canvas:
    every = math.ceil(len(parts) / LABELLED)
    row = max(17.0, 34.0 - len(parts)) / every
    left = min(190.0 if width >= WIDE else 110.0, 14 + max(extent(part, LETTERS - 1) for part in parts))
    top, bottom = 24.0, 22.0
    canvas = Canvas(width, top + row * len(parts) + bottom)
    axes = canvas.pixels()
    for i, part in enumerate(parts):
        at = len(parts) - 1 - i  # rows from the top
        if at % every == 0:
            place = top + row * (at + 0.5)
            words = shortened(part, left - 10, LETTERS - 1)
            style = {"fontsize": LETTERS - 1, "color": stand_in("muted")}
            axes.text(left - 8, place, words, ha="right", va="center_baseline", **style)
    low, high = _rates(plan)
    x = left
    for phase, span, lasts in zip(plan.phases, _spans(plan, width - left), epochs, strict=True):
        style = {"ha": "center", "va": "center_baseline"}
        small = {"fontsize": LETTERS - 1, **style}
        middle = x + span / 2
        title, under = shortened(phase.name, span - 4), shortened(lasts, span, LETTERS - 1)
        if title != "…":  # of fifty phases none has room for its name
            axes.text(middle, top - 11, title, fontweight="bold", color=stand_in("ink"), **style)
        if under != "…":
            axes.text(middle, canvas.height - 9, under, color=stand_in("muted"), **small)
        rates = list(reversed(phase.lrs))
        done = 0
        for step, same in groupby(_step(lr, low, high) for lr in rates):
            count = len(list(same))
            fill = "frozen" if step is None else f"step-{step}"
            _field(axes, x, top + row * done, span, row * count, fill)
            done += count
        done, groups = 0, [(lr, len(list(same))) for lr, same in groupby(rates)]
        last = max(i for i, (lr, _) in enumerate(groups) if lr > 0)
        for i, (lr, count) in enumerate(groups):
            step = _step(lr, low, high)
            said = frozen if step is None else rate(lr)
            ink = stand_in("ink" if step is None else f"on-{step}")
            # Where every stage has a rate of its own, the ends tell the rest.
            telling = (count > 2 or i in (0, 1, last)) and not (phase.solved and lr > 0)
            if telling and extent(said, LETTERS - 1) <= span - 6 and row >= LETTERS - 1:
                axes.text(middle, top + row * (done + count // 2 + 0.5), said, color=ink, **small)
            done += count
        x += span
    between = [top + row * i for i in range(1, len(parts))]
    gap = min(1.5, row / 8)
    axes.hlines(between, left, width, color=stand_in("paper"), linewidth=gap, zorder=1.5)
    return canvas


def rate(lr: float) -> str:
    """A learning rate in as few signs as it needs.

    >>> rate(0.003), rate(9.24e-5)
    ('3e-3', '9.2e-5')
    """
    if lr == 0:
        return "0"
    mantissa, _, exponent = f"{lr:.1e}".partition("e")
    return f"{mantissa.removesuffix('.0')}e{int(exponent)}"


def _field(axes: Any, x: float, y: float, width: float, height: float, fill: str) -> None:
    from matplotlib.patches import Rectangle

    box = Rectangle((x + 1.5, y), max(1.0, width - 3), height, facecolor=stand_in(fill), edgecolor="none")
    axes.add_patch(box)


def _spans(plan: Plan, width: float) -> list[float]:
    """Widths in proportion to the epochs, none below the least."""
    least = min(LEAST, 1 / len(plan.phases))
    shares = [max(least, phase.epochs / plan.epochs) for phase in plan.phases]
    return [width * share / sum(shares) for share in shares]


def _rates(plan: Plan) -> tuple[float, float]:
    rates = [lr for phase in plan.phases for lr in phase.lrs if lr > 0]
    return math.log(min(rates)), math.log(max(rates))


def _step(lr: float, low: float, high: float) -> int | None:
    """Where a rate lies on the scale of colours, by its logarithm; None: frozen."""
    if lr == 0:
        return None
    return STEPS - 1 if high == low else round((math.log(lr) - low) / (high - low) * (STEPS - 1))
