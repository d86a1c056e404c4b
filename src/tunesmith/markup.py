"""Small pieces of HTML in which plans, networks, data and runs show themselves in a notebook.

Plain strings in, one string out: whatever a label or a name holds is escaped. Colours are laid over the
notebook's own, so that they suit a light one and a dark one.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from html import escape
from typing import Final

ACCENT: Final = "13, 148, 136"  # red, green, blue
STRONGEST: Final = 0.55  # of the accent behind letters, which stay readable on it
CELL: Final = "padding: 0.15em 0.9em 0.15em 0; text-align: {}; white-space: nowrap"


def box(title: str, *parts: str) -> str:
    """Pieces below a title."""
    head = f'<p style="margin: 0 0 0.4em"><b>{escape(title)}</b></p>'
    return f'<div style="overflow-x: auto; line-height: 1.4">{head}{"".join(parts)}</div>'


def lines(*said: str) -> str:
    """A paragraph per line.

    >>> lines("a < b")
    '<p style="margin: 0 0 0.3em">a &lt; b</p>'
    """
    return "".join(f'<p style="margin: 0 0 0.3em">{escape(line)}</p>' for line in said)


def table(
    heading: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: Collection[int] = (), most: int = 60
) -> str:
    """A table; of more rows than `most` the first ones, and how many follow.

    numbers: columns that are aligned to the right.
    """

    def cells(tag: str, row: Sequence[str]) -> str:
        sides = ["right" if i in numbers else "left" for i in range(len(row))]
        pairs = zip(row, sides, strict=True)
        return "".join(f'<{tag} style="{CELL.format(side)}">{escape(cell)}</{tag}>' for cell, side in pairs)

    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows[:most])
    more = lines(f"and {len(rows) - most:,} more") if len(rows) > most else ""
    return f"<table><thead><tr>{cells('th', heading)}</tr></thead><tbody>{body}</tbody></table>{more}"


def rates(phases: Sequence[tuple[str, Sequence[float]]], parts: Sequence[str]) -> str:
    """Learning rates, a row per part of a network, the head on top; a column per phase, frozen grey.

    phases: name and one rate per part, input first.
    """
    logs = [math.log(lr) for _, lrs in phases for lr in lrs if lr > 0]
    low, high = min(logs), max(logs)

    def cell(lr: float) -> str:
        if lr == 0:
            return '<td style="background: rgba(128, 128, 128, 0.22); text-align: center">frozen</td>'
        share = 1.0 if high == low else (math.log(lr) - low) / (high - low)
        shade = 0.1 + (STRONGEST - 0.1) * share
        return f'<td style="background: rgba({ACCENT}, {shade:.2f}); text-align: center">{lr:.2g}</td>'

    heads = "".join(f'<th style="text-align: center">{escape(name)}</th>' for name, _ in phases)
    rows = []
    for i in range(len(parts) - 1, -1, -1):
        name = f'<th style="{CELL.format("left")}">{escape(parts[i])}</th>'
        rows.append(f"<tr>{name}{''.join(cell(lrs[i]) for _, lrs in phases)}</tr>")
    return f"<table><thead><tr><th></th>{heads}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
