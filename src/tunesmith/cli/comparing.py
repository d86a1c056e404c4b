"""How the command line shows a comparison: a row per run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tunesmith.evaluation import Score
    from tunesmith.reports.content import Compared, Comparison

ALSO = ("macro_f1", "log_loss", "mae", "r2")  # metrics that are shown below the one that decides, if there
ALONE = {
    "classes": "examples that this run alone has right, and that the first one alone has",
    "numbers": "examples on which this run is nearer to the truth, and on which the first one is",
    "parts": "examples that this run answers better, and that the first one does",
}


def draw(comparison: Comparison) -> None:
    """Print scores with intervals, and paired differences to the first run, in 80 columns."""
    from rich.console import Console

    from tunesmith.verbs.options import duration
    from tunesmith.verbs.reporting import words

    console = Console(highlight=False)
    first, metric = comparison.runs[0], comparison.metric
    console.print(f"{comparison.count:,} test examples, the same for all; 95 % intervals, differences paired")
    decides: dict[str, Callable[[Compared], str]] = {
        words(metric): lambda run: run.scores[metric].told(metric),
        "against the first": lambda run: _gap(run.gaps[metric], metric) if run.gaps else "",
    }
    beside: dict[str, Callable[[Compared], str]] = {
        words(name): lambda run, name=name: run.scores[name].told(name)  # type: ignore[misc]
        for name in _beside(comparison)
    }
    beside["alone"] = lambda run: "" if run is first else f"{run.only_this} : {run.only_first}"
    beside["time"] = lambda run: "" if run.seconds is None else duration(run.seconds)
    for columns in (decides, beside):
        console.print()
        console.print(_table(comparison.runs, columns))
    console.print(f"\nalone: {ALONE[comparison.answers]}")
    for name, values in comparison.differ.items():
        told = ", ".join(f"{run.name} {v or 'none'}" for run, v in zip(comparison.runs, values, strict=True))
        console.print(f"{name}: {told}", markup=False, soft_wrap=True)


def _table(runs: Sequence[Compared], columns: dict[str, Callable[[Compared], str]]) -> object:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("run", overflow="fold", min_width=12)
    for heading in columns:
        table.add_column(heading, justify="right", no_wrap=True)
    for run in runs:
        table.add_row(Text(run.name), *(Text(cell(run)) for cell in columns.values()))
    return table


def _beside(comparison: Comparison) -> list[str]:
    """Two more metrics that every run has: the usual ones, or the first."""
    shared = [
        name
        for name in comparison.runs[0].scores
        if "/" not in name
        and name != comparison.metric
        and all(name in run.scores for run in comparison.runs)
    ]
    usual = [name for name in ALSO if name in shared]
    return (usual or shared)[:2]


def _gap(gap: Score, metric: str) -> str:
    from tunesmith.evaluation import figure

    value, low, high = (figure(own, metric, sign=True) for own in (gap.value, gap.low, gap.high))
    outcome = "better" if gap.low > 0 else "worse" if gap.high < 0 else "not proven"
    return f"{value} [{low}, {high}] {outcome}"
