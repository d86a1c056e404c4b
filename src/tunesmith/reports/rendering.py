"""Templates filled to pages: one file each, with nothing to load and nothing to run."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from typing import Any, Final

from tunesmith.data.pairs import SEPARATOR, apart
from tunesmith.evaluation import figure
from tunesmith.registry import require
from tunesmith.reports.colours import css
from tunesmith.reports.drawings.canvas import one_line
from tunesmith.reports.words import Words

LONGEST: Final = 60  # signs of a label; a column may have been taken for labels that is none
PIECE: Final = 200  # signs of a piece of a text


@dataclass(frozen=True)
class Table:
    """A table of a page.

    rows: as written; the first cell of a row names it. numbers: columns that are aligned to the right.
    foreign: whether the first column holds words of the data, which no language changes.
    """

    heading: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numbers: frozenset[int] = frozenset()
    foreign: bool = True


def render(template: str, words: Words, **values: Any) -> str:
    """The page that a template makes of values; every text among them is escaped.

    Raises MissingPackage where jinja2 is not installed.
    """
    page: str = (
        _environment()
        .get_template(template)
        .render(w=words, style=_style(), version=version("tunesmith"), **values)
    )
    # What cannot be written as UTF-8, half a pair of surrogates in a label, becomes a question mark.
    return page.encode("utf-8", "replace").decode("utf-8")


def safe(markup: str) -> Any:
    """Markup of our own making, a drawing, that goes into a page as it is."""
    return require("markupsafe", "report", "a report").Markup(markup)


def number(value: float, metric: str = "") -> str:
    """A score as it is written everywhere; metric: what it is of, where that has a unit.

    >>> number(0.91234), number(-0.5), number(152345.6, "rmse")
    ('0.912', '−0.500', '152,346')
    """
    return figure(value, metric).replace("-", "−")


def signed(value: float, metric: str = "") -> str:
    """A difference of scores.

    >>> signed(0.0512), signed(-0.01), signed(12.5, "rmse")
    ('+0.051', '−0.010', '+12.50')
    """
    return figure(value, metric, sign=True).replace("-", "−")


def amount(value: float) -> str:
    """A number of the data, in the person's unit, in as many digits as tell something.

    >>> amount(12.5), amount(-1234567.0), amount(0.000125), amount(3.0)
    ('12.5', '−1,234,567', '0.000125', '3')
    """
    written = figure(value, "rmse")
    plain = "." in written and "e" not in written
    return (written.rstrip("0").rstrip(".") if plain else written).replace("-", "−")


def share_of(value: float) -> str:
    """A share as whole percent, or with one digit where that would say none or all.

    >>> share_of(0.874), share_of(0.9981), share_of(1.0)
    ('87 %', '99.8 %', '100 %')
    """
    near = 0 < value < 0.005 or 0.995 <= value < 1
    return f"{100 * value:.1f} %" if near else f"{100 * value:.0f} %"


def named(text: str, longest: int = LONGEST) -> str:
    """A name from the data on one line, cut where it is too long to be one.

    >>> named(" glass"), named("x" * 99, longest=5)
    ('glass', 'xxxx…')
    """
    line = one_line(text)
    return line if len(line) <= longest else line[: longest - 1] + "…"


def capital(name: str) -> str:
    """A name as it stands at the head of a column."""
    return name[:1].upper() + name[1:]


def picture(jpeg: bytes) -> str:
    """The picture as an address that holds it."""
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode("ascii")


def excerpt(text: str, longest: int = 300) -> str:
    """The beginning of a text, cut between words where it has any; of a pair that of both, a line each."""
    if SEPARATOR in text:
        return "\n".join(excerpt(own, longest // 2) for own in apart(text))
    text = " ".join(text.split())
    if len(text) <= longest:
        return text
    begun = text[:longest]
    whole, space, _ = begun.rpartition(" ")
    return (whole if space and len(whole) > longest // 2 else begun) + " …"


def around(tokens: Sequence[tuple[str, float]], most: int = 160) -> tuple[tuple[str, float], ...]:
    """At most so many pieces of a text, the weightiest among them; a mark where others were left out.

    A piece of more than 200 signs is cut: a tokenizer may take a megabyte without spaces for one word.
    """
    tokens = [(piece.replace(SEPARATOR, "\n"), weight) for piece, weight in tokens]
    tokens = [(piece if len(piece) <= PIECE else piece[:PIECE] + "…", weight) for piece, weight in tokens]
    if len(tokens) <= most:
        return tuple(tokens)
    heaviest = max(range(len(tokens)), key=lambda i: abs(tokens[i][1]))
    start = min(max(0, heaviest - most // 2), len(tokens) - most)
    before, after = start > 0, start + most < len(tokens)
    mark = ((" … ", 0.0),)
    return (*mark[:before], *tokens[start : start + most], *mark[:after])


def mark(weight: float) -> str:
    """The class of a piece of text: how strongly it speaks, in four steps, for or against.

    >>> mark(0.9), mark(-0.5), mark(0.1)
    ('for-4', 'against-2', '')
    """
    step = min(4, int(abs(weight) * 5)) if abs(weight) >= 0.2 else 0
    return f"{'for' if weight > 0 else 'against'}-{step}" if step else ""


@cache
def _environment() -> Any:
    jinja2 = require("jinja2", "report", "a report")
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("tunesmith.reports"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "picture": picture,
        "named": named,
        "excerpt": excerpt,
        "around": around,
        "mark": mark,
        "number": number,
        "signed": signed,
    }
    return environment


@cache
def _style() -> Any:
    written = files("tunesmith.reports").joinpath("templates/page.css").read_text(encoding="utf-8")
    return safe(written.replace("/* colours */", css().strip()))
