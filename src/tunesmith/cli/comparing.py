"""How the command line shows a comparison: a row per run."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tunesmith.evaluation import Score
    from tunesmith.reports.content import Comparison

ALSO = ("macro_f1", "log_loss")  # metrics that are shown beside the one that decides


def draw(comparison: Comparison) -> None:
    """Print scores with intervals, and paired differences to the first run."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from tunesmith.verbs.options import duration
    from tunesmith.verbs.reporting import words

    console = Console(highlight=False)
    first = comparison.runs[0]
    metrics = [comparison.metric, *(name for name in ALSO if name != comparison.metric)]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("run", overflow="fold")
    for name in metrics:
        table.add_column(words(name), justify="right", no_wrap=True)
    table.add_column(f"{words(comparison.metric)} against the first", justify="right")
    table.add_column("only it right", justify="right")
    table.add_column("time", justify="right")
    for run in comparison.runs:
        gap = run.gaps.get(comparison.metric)
        apart = "" if run is first else f"{run.only_this} : {run.only_first}"
        time = "" if run.seconds is None else duration(run.seconds)
        scores = [str(run.scores[name]) for name in metrics]
        table.add_row(Text(run.name), *scores, "" if gap is None else _gap(gap), apart, time)
    console.print(f"{comparison.count:,} test examples, the same for all; 95 % intervals, differences paired")
    console.print(table)
    for name, values in comparison.differ.items():
        told = ", ".join(f"{run.name} {v or 'none'}" for run, v in zip(comparison.runs, values, strict=True))
        console.print(f"{name}: {told}", markup=False, soft_wrap=True)


def _gap(gap: Score) -> str:
    outcome = "better" if gap.low > 0 else "worse" if gap.high < 0 else "not proven"
    return f"{gap.value:+.3f} [{gap.low:+.3f}, {gap.high:+.3f}] {outcome}"
