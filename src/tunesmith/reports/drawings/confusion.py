"""What was taken for what: rows are true classes, columns what the network said."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from tunesmith.reports.colours import STEPS, stand_in
from tunesmith.reports.drawings.canvas import LETTERS, WIDE, Canvas, drawn, extent, shortened

MOST: Final = 25  # classes that a matrix still shows well


def most_confused(matrix: Sequence[Sequence[int]], most: int = MOST) -> list[int]:
    """The classes to show, in their order: all, or those that most wrong answers involve.

    >>> most_confused([[5, 0, 2], [0, 9, 0], [1, 0, 4]], most=2)
    [0, 2]
    """
    counts = np.asarray(matrix)
    wrong = counts - np.diag(np.diag(counts))
    involved = wrong.sum(0) + wrong.sum(1)
    chosen = np.argsort(-involved, kind="stable")[:most]
    return sorted(int(i) for i in chosen)


def confusion(
    name: str, alt: str, matrix: Sequence[Sequence[int]], labels: Sequence[str], truth: str, said: str
) -> str:
    """A square per pair of classes, the darker the larger its share of the true class.

    truth, said: what stands at the rows and over the columns.
    """
    shown = most_confused(matrix)
    counts = np.asarray(matrix)
    names = [labels[i] for i in shown]
    # Shares are of the whole class, also where some columns are not shown.
    shares = (counts / np.maximum(counts.sum(1, keepdims=True), 1))[np.ix_(shown, shown)]
    inner = counts[np.ix_(shown, shown)]
    return drawn(name, alt, lambda width: _painted(width, inner, shares, names, truth, said))


def _painted(
    width: float, counts: np.ndarray, shares: np.ndarray, names: Sequence[str], truth: str, said: str
) -> Canvas:
    from matplotlib.patches import Rectangle

    K = len(names)
    small = LETTERS - 1 if K <= 12 or width >= WIDE else LETTERS - 3
    longest = max(extent(name, small) for name in names) + 10
    left = max(min(longest, 170.0 if width >= WIDE else 88.0), extent(f"{truth} ↓", small) + 12)
    side = min(74.0, (width - left - 2) / K)
    level = longest < side  # names over the columns lie flat, or they stand
    top = 46.0 if level else 30 + min(longest, 110.0)
    canvas = Canvas(width, top + side * K + 4)
    axes = canvas.pixels()
    muted, place = stand_in("muted"), {"va": "center_baseline", "fontsize": small}
    axes.text(left, 10, f"{said} →", color=muted, **place)
    axes.text(left - 8, 10, f"{truth} ↓", color=muted, ha="right", **place)
    for i, name in enumerate(names):
        y, x = top + side * (i + 0.5), left + side * (i + 0.5)
        axes.text(left - 8, y, shortened(name, left - 8, small), color=stand_in("ink"), ha="right", **place)
        words = shortened(name, side if level else top - 30, small)
        turned = {"ha": "center"} if level else {"rotation": 90, "rotation_mode": "anchor", "ha": "left"}
        across = top - 12 if level else top - 6
        axes.text(x, across, words, color=stand_in("ink"), va="center_baseline", fontsize=small, **turned)
        for j in range(K):
            if not counts[i, j] and i != j:
                continue
            step = round(float(shares[i, j]) * (STEPS - 1))
            fill = stand_in(f"step-{step}")
            corner = (left + side * j + 1, top + side * i + 1)
            axes.add_patch(Rectangle(corner, side - 2, side - 2, facecolor=fill, edgecolor="none"))
            if side >= 0.6 * small * (len(str(counts[i, j])) + 0.4) and side >= small:
                at = (left + side * (j + 0.5), y)
                axes.text(*at, f"{counts[i, j]}", ha="center", color=stand_in(f"on-{step}"), **place)
    frame = (left, top)
    axes.add_patch(Rectangle(frame, side * K, side * K, fill=False, edgecolor=stand_in("line"), linewidth=1))
    return canvas
