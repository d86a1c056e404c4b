"""A matplotlib figure measured in pixels, and the SVG that becomes of it inside a page."""

from __future__ import annotations

import html
import io
import re
import unicodedata
import warnings
from collections.abc import Callable
from typing import Any, Final

from tunesmith.registry import require
from tunesmith.reports.colours import stand_in, themed

WIDE: Final = 720  # pixels: the column of a page
NARROW: Final = 340  # and of a telephone; each figure is drawn for both, so that its letters keep their size
LETTERS: Final = 12
STYLE: Final = {
    "svg.fonttype": "none",  # letters stay letters: small, found by search, in the page's own fonts
    "text.parse_math": False,  # a class may be called "$x$"
    "font.size": LETTERS,
    "lines.solid_capstyle": "round",
    "hatch.linewidth": 0.8,
}


class Canvas:
    """Where a figure is painted: places in pixels from the upper left corner."""

    def __init__(self, width: float, height: float) -> None:
        figures = require("matplotlib.figure", "report", "a report")
        require("matplotlib.backends.backend_svg", "report", "a report")
        self.width, self.height = width, height
        self.figure: Any = figures.Figure((width / 72, height / 72), dpi=72)

    def axes(self, left: float, top: float, width: float, height: float) -> Any:
        """A place to plot in, without a frame."""
        box = (left / self.width, 1 - (top + height) / self.height, width / self.width, height / self.height)
        axes: Any = self.figure.add_axes(box)
        axes.patch.set_visible(False)
        for edge in axes.spines.values():
            edge.set_visible(False)
        axes.tick_params(length=0, colors=stand_in("muted"), labelsize=LETTERS - 1, pad=5)
        return axes

    def pixels(self) -> Any:
        """A plot over the whole canvas whose units are pixels, y downwards."""
        axes = self.axes(0, 0, self.width, self.height)
        axes.set(xlim=(0, self.width), ylim=(self.height, 0), xticks=[], yticks=[])
        return axes

    def svg(self, alt: str) -> str:
        """The figure as an element of a page."""
        written = io.StringIO()
        with warnings.catch_warnings():
            # The page's fonts draw the letters; that matplotlib's own lacks some does not matter.
            warnings.filterwarnings("ignore", message="Glyph .* missing")
            self.figure.savefig(written, format="svg", metadata={"Date": None}, transparent=True)
        box = f'viewBox="0 0 {self.width:g} {self.height:g}"'
        return f'<svg role="img" aria-label="{html.escape(alt)}" {box}>{_bare(written.getvalue())}</svg>'


def drawn(name: str, alt: str, paint: Callable[[float], Canvas]) -> str:
    """A figure in both widths; the page shows the one that fits.

    name: unlike every other figure's on the page. alt: what is to be seen, in words.
    paint: paints it on a canvas of the width that it is given.
    """
    matplotlib = require("matplotlib", "report", "a report")
    figures = []
    for form, width in (("wide", WIDE), ("narrow", NARROW)):
        with matplotlib.rc_context({**STYLE, "svg.hashsalt": f"{name} {form}"}):
            figures.append(f'<div class="{form}">{paint(width).svg(alt)}</div>')
    return "\n".join(figures)


def shortened(text: str, room: float, size: float = LETTERS) -> str:
    """The text on one line, cut so that it takes at most `room` pixels.

    >>> shortened("cardboard", 1000), shortened("cardboard", 40)
    ('cardboard', 'card…')
    """
    text = one_line(text)
    if extent(text, size) <= room:
        return text
    while text and extent(text + "…", size) > room:
        text = text[:-1]
    return text.rstrip() + "…"


def one_line(text: str) -> str:
    """The text without line breaks and other signs that have no form of their own."""
    return "".join(c if unicodedata.category(c)[0] != "C" else " " for c in text).strip()


def extent(text: str, size: float = LETTERS) -> float:
    """About how many pixels wide a text is; a Chinese sign takes twice a letter's room."""
    return size * sum(1.02 if unicodedata.east_asian_width(c) in "WF" else 0.57 for c in text)


def _bare(svg: str) -> str:
    """What a page needs of matplotlib's file: no prolog, no addresses, no names that two figures share."""
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    svg = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", svg, flags=re.DOTALL)
    svg = svg[svg.index(">") + 1 : svg.rindex("</svg>")]
    svg = re.sub(r"\s*\n\s*", " ", svg)
    return re.sub(r">\s+<", "><", re.sub(r"<[^>]*>", _plain, svg))


def _plain(tag: re.Match[str]) -> str:
    """An element in the page's colours and letters, places to a hundredth of a pixel.

    What stands between elements stays as it is: a class may be called "#00ff00" or "font-family: x".
    """
    told = re.sub(r'^<g id="[^"]*"', "<g", tag[0]).replace("xlink:href", "href")
    told = re.sub(r"font-family: [^;\"]*;? ?", "", told)
    told = re.sub(r' transform="rotate\(-0 [^"]*\)"', "", told)
    return re.sub(r"(\d\.\d\d)\d+", r"\1", themed(told))
