"""The curve of a range test in a file of its own."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, Final

from tunesmith.registry import require
from tunesmith.reports.colours import palette

if TYPE_CHECKING:
    from tunesmith.choosing.range_test import RangeTest

WIDTH, HEIGHT = 8.0, 4.5  # inches
HIGHEST: Final = 1.6  # times the first smoothed loss: what runs away would flatten everything else
MARKS: Final = {"valley": "o", "minimum": "s", "steepest": "^"}


def range_plot(test: RangeTest, form: str) -> bytes:
    """Losses over learning rates, the recommended ones marked; the same bits each time.

    form: "svg", "png" or "pdf".
    """
    matplotlib = require("matplotlib", "report", "a plot")
    figures = require("matplotlib.figure", "report", "a plot")
    light = {name: pair[0] for name, pair in palette().items()}
    style = {"svg.fonttype": "none", "svg.hashsalt": "range test", "text.parse_math": False}
    with matplotlib.rc_context(style):
        figure: Any = figures.Figure((WIDTH, HEIGHT), layout="constrained", facecolor=light["paper"])
        axes: Any = figure.add_subplot(facecolor=light["paper"])
        axes.plot(test.lrs, test.losses, color=light["soft"], linewidth=1, label="batch")
        axes.plot(test.lrs, test.smoothed, color=light["accent"], linewidth=2.2, label="smoothed")
        for name, sign in MARKS.items():
            lr = getattr(test, name)
            if lr is not None:
                nearest = min(range(len(test.lrs)), key=lambda i: abs(test.lrs[i] - lr))
                label = f"{name} {lr:.1e}"
                axes.plot(
                    [lr], [test.smoothed[nearest]], sign, color=light["warm"], markersize=9, label=label
                )
        low, top = min([*test.losses, *test.smoothed]), HIGHEST * max(test.smoothed[:10])
        axes.set(xscale="log", ylim=(low - 0.05 * abs(top - low), top))
        axes.set_xlabel("learning rate", color=light["muted"])
        axes.set_ylabel("training loss", color=light["muted"])
        axes.set_title(f"range test of phase {test.phase}; {test.ended}", color=light["ink"], loc="left")
        axes.grid(color=light["line"], linewidth=0.6)
        axes.tick_params(colors=light["muted"])
        for edge in axes.spines.values():
            edge.set_visible(False)
        axes.legend(frameon=False, labelcolor=light["ink"])
        written = io.BytesIO()
        dated = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
        figure.savefig(written, format=form.lower(), dpi=120, metadata=dated.get(form.lower(), {}))
    return written.getvalue()
