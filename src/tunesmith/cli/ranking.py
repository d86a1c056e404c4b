"""A ranking of networks on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from tunesmith.choosing.ranking import Ranking


def draw(ranking: Ranking, *, console: Console | None = None) -> None:
    """Write the table and what follows from it to standard output."""
    from rich.console import Console
    from rich.text import Text

    console = console or Console(highlight=False, soft_wrap=True)
    if console.is_terminal:
        console.print(ranking.table())
        console.print()
        for line in ranking.closing():
            console.print(Text(line))
    else:
        console.print(Text(str(ranking)))
