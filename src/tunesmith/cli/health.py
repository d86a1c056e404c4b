"""The health of data on a terminal: counts, findings with their first examples, what was not looked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tunesmith.data.data import SPLITS
from tunesmith.health.words import say, title

if TYPE_CHECKING:
    from rich.console import Console

    from tunesmith.health.finding import Health, Item

EACH = {"classes": "class", "numbers": "column", "parts": "type"}  # what the table has a row of
SHOWN = 3  # groups of a finding, and items of a group
CLASSES = 12  # rows of the table of counts; of more classes the largest and the smallest
STYLES = {"error": "bold red", "warning": "yellow", "note": "cyan"}


def draw(health: Health, *, page: str | None = None, console: Console | None = None) -> None:
    """Write the findings to standard output, the gravest first.

    page: where the page was written, to be named.
    """
    from rich.console import Console
    from rich.text import Text

    console = console or Console(highlight=False, soft_wrap=True)
    console.print(_counts(health))
    for finding in health.findings:
        sentence, advice = say(finding, takes=health.takes, answers=health.answers)
        console.print()
        console.print(Text.assemble((f"{finding.level}: ", STYLES[finding.level]), sentence))
        for group in finding.groups[:SHOWN]:
            console.print(Text("  " + "  =  ".join(_named(item) for item in group[:SHOWN])))
        more = finding.count - SHOWN
        console.print(Text(f"  {f'and {more:,} more. ' if more > 0 else ''}{advice}", style="dim"))
    console.print()
    for line in _closing(health, page):
        console.print(Text(line))


def _counts(health: Health) -> Any:
    from rich.table import Table
    from rich.text import Text

    table = Table(EACH[health.answers], *SPLITS, box=None, pad_edge=False)
    for column in table.columns[1:]:
        column.justify = "right"
    order = sorted(health.counts, key=lambda name: (-sum(health.counts[name].values()), name))
    cut = len(order) - CLASSES
    shown = order if cut <= 1 else [*order[: CLASSES // 2], "", *order[-CLASSES // 2 :]]
    for name in shown:
        if name:
            cells = (f"{health.counts[name].get(split, 0):,}" for split in SPLITS)
            table.add_row(Text(name), *cells)
        else:
            table.add_row(
                Text(f"… {cut:,} more{' classes' if health.answers == 'classes' else ''}", style="dim")
            )
    totals = (sum(row.get(split, 0) for row in health.counts.values()) for split in SPLITS)
    table.add_row(Text("all", style="bold"), *(f"{total:,}" for total in totals))
    return table


def _named(item: Item) -> str:
    about = ", ".join(part for part in (item.split, item.label, item.note) if part)
    return f"{item.id} ({about})" if about else item.id


def _closing(health: Health, page: str | None) -> list[str]:
    levels = [finding.level for finding in health.findings]
    said = ", ".join(f"{levels.count(k)} {k}{'s' * (levels.count(k) != 1)}" for k in STYLES if k in levels)
    reasons: dict[str, list[str]] = {}
    for kind, reason in health.skipped.items():
        reasons.setdefault(reason, []).append(title(kind))
    return [
        said or "nothing was found that needs your attention",
        *(f"not looked for: {'; '.join(kinds)} ({title(reason)})" for reason, kinds in reasons.items()),
        *([f"page: {page}"] if page else []),
    ]
