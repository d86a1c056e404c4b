"""How the command line shows what is known of every stage."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tunesmith.choosing.which_stages import StageEvidence

HEADINGS = ("weights", "MACs", "probe", "|g|/|w|", "epoch", "stored")


def draw(found: Sequence[StageEvidence], says: Sequence[str]) -> None:
    """Print a row per part, the scores and gradient ratios as strips, and what they say."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from tunesmith.plan import strip

    console = Console(highlight=False)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("stage", overflow="fold", min_width=8)
    for heading in HEADINGS:
        table.add_column(heading, justify="right", no_wrap=True)
    for row in found:
        table.add_row(Text(row.stage), *(Text(cell) for cell in _cells(row)))
    console.print(table)
    console.print("epoch: in which the stage and all behind it train; stored: of one example then")
    stages = found[:-1]
    for name, values in (
        ("probe", [row.probe or 0.0 for row in stages]),
        ("|g|/|w|", [row.ratio for row in stages]),
    ):
        console.print(f"{name:<8} {strip(values)}", markup=False)
    for line in says:
        console.print(line, markup=False, soft_wrap=True)


def _cells(row: StageEvidence) -> tuple[str, ...]:
    from tunesmith.verbs.options import bytes_in_words, duration

    return (
        f"{row.parameters:,}",
        _short(row.macs),
        "" if row.probe is None else f"{row.probe:.3f} ± {row.error:.3f}",
        f"{row.ratio:.1e}",
        duration(row.seconds),
        bytes_in_words(row.bytes) if row.bytes else "",
    )


def _short(count: int) -> str:
    """A large number in as few signs as people need.

    >>> _short(950), _short(20_500_000), _short(4_087_000_000)
    ('950', '20 M', '4.1 G')
    """
    for size, name in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= size:
            return f"{count / size:.0f} {name}" if count >= 10 * size else f"{count / size:.1f} {name}"
    return str(count)
