"""A range test on a terminal: the smoothed loss over the rates, and what is recommended."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import typer

if TYPE_CHECKING:
    from tunesmith.choosing.range_test import RangeTest

WIDTH: Final = 64  # columns of the curve
HEIGHT: Final = 10  # lines
HIGHEST: Final = 1.3  # times the first smoothed loss: what lies above is drawn at the upper edge
MEANINGS: Final = {
    "valley": "half-way down the longest fall",
    "minimum": "a tenth of the rate of the least loss",
    "steepest": "where the loss falls fastest",
}


def draw(test: RangeTest, *, plot: str | None = None) -> None:
    """Write the curve and the rates to standard output. plot: the file with the drawing, to be named."""
    head = ", the head solved first" if test.head_first else ""
    typer.echo(f"phase {test.phase}{head}: {len(test.lrs)} steps, {test.ended}\n")
    for line in curve(test):
        typer.echo(line)
    typer.echo("")
    for name, meaning in MEANINGS.items():
        lr = getattr(test, name)
        typer.echo(f"{name:<9} {'none' if lr is None else f'{lr:.1e}':>8}  {meaning}")
    if test.valley is None:
        typer.echo("the loss falls at none of these rates: try more steps, or another phase")
    else:
        typer.echo(f"next: tunesmith fit DATA --{test.option.replace('_', '-')} {test.valley:.1e}")
    if plot:
        typer.echo(f"plot: {plot}", err=True)


def curve(test: RangeTest) -> list[str]:
    r"""The smoothed loss as lines of text, rates from left to right, `v` below the valley.

    >>> from tunesmith.choosing.range_test import RangeTest
    >>> losses = (2.0, 2.0, 1.0, 0.5, 2.0)
    >>> rates = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
    >>> test = RangeTest("head", rates, losses, losses, "every rate was tried", "lr", False, 1e-3, 1e-3, 1e-3)
    >>> "\n".join(curve(test)).count("•")
    5
    """
    top, low = HIGHEST * test.smoothed[0], min(test.smoothed)
    height = (top - low) or 1.0
    first, last = math.log(test.lrs[0]), math.log(test.lrs[-1])

    def column(lr: float) -> int:
        return round((math.log(lr) - first) / ((last - first) or 1.0) * (WIDTH - 1))

    grid = [[" "] * WIDTH for _ in range(HEIGHT)]
    for lr, loss in zip(test.lrs, test.smoothed, strict=True):
        line = round((top - min(max(loss, low), top)) / height * (HEIGHT - 1))
        grid[line][column(lr)] = "•"
    marks = [" "] * WIDTH
    if test.valley is not None:
        marks[min(max(column(test.valley), 0), WIDTH - 1)] = "v"
    labels = {0: f"{top:.3g}", HEIGHT - 1: f"{low:.3g}"}
    rows = [f"{labels.get(i, ''):>7} │{''.join(row).rstrip()}" for i, row in enumerate(grid)]
    edges = f"{test.lrs[0]:.0e}", f"{test.lrs[-1]:.0e}"
    return [
        *rows,
        f"{'':>7} │{''.join(marks).rstrip()}",
        f"{'':>7} └{'─' * WIDTH}",
        f"{'':>8}{edges[0]}{edges[1]:>{WIDTH + 1 - len(edges[0])}}",
    ]
