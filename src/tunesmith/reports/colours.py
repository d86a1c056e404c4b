"""The colours of a page, each for light and for dark, and how a drawing stands for them.

A drawing cannot know in which light it will be seen. It is painted in stand-ins, one hexadecimal colour
per name, and `themed` puts CSS variables in their place.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Final

STEPS: Final = 7  # of the scale from little to much

Pair = tuple[str, str]  # in light, in dark

_NAMED: Final[Mapping[str, Pair]] = {
    "paper": ("#fcfbf9", "#16181b"),
    "card": ("#f4f2ed", "#1f2226"),
    "ink": ("#1f2328", "#e9e6e0"),
    "muted": ("#5a6069", "#a8acb3"),
    "line": ("#dedad2", "#363a40"),
    "frozen": ("#dcd9d3", "#33373c"),
    "accent": ("#0d6b63", "#5cc6b9"),
    "middle": ("#63a8a0", "#3c8f86"),
    "soft": ("#b9d9d4", "#265650"),
    "warm": ("#a4451d", "#f0a67e"),
    "warm-soft": ("#f5dacb", "#57301c"),
}
_SCALE: Final[tuple[Pair, Pair]] = (("#d6eae6", "#1f4541"), ("#06403b", "#93eadf"))


def palette() -> dict[str, Pair]:
    """Every colour of a page by name.

    "step-0" to "step-6": the scale; "on-0" to "on-6": text on it. "for-1" to "for-4" and "against-1" to
    "against-4": behind words that speak for an answer or against it.
    """
    colours = dict(_NAMED)
    for i in range(STEPS):
        low, high = _SCALE
        light, dark = (mixed(a, b, i / (STEPS - 1)) for a, b in zip(low, high, strict=True))
        colours[f"step-{i}"] = light, dark
        colours[f"on-{i}"] = readable_on(light), readable_on(dark)
    for i in range(1, 5):
        for name, strong in (("for", "accent"), ("against", "warm")):
            colours[f"{name}-{i}"] = (
                mixed(_NAMED["paper"][0], _NAMED[strong][0], 0.11 * i),
                mixed(_NAMED["paper"][1], _NAMED[strong][1], 0.1 * i),
            )
    return colours


def css() -> str:
    """The colours as CSS variables that follow the page's color-scheme."""
    return "".join(f"  --{name}: light-dark({light}, {dark});\n" for name, (light, dark) in palette().items())


def stand_in(name: str) -> str:
    """The colour that a drawing is painted with where `name` is meant."""
    return _stand_ins()[name]


def themed(drawing: str) -> str:
    """The drawing, or an element of one, with CSS variables where it was painted with stand-ins.

    >>> themed('<path style="fill: #00ff02"/>')
    '<path style="fill: var(--ink)"/>'
    """
    return re.sub(r"#00ff[0-9a-f]{2}", lambda found: _variables().get(found[0], found[0]), drawing)


@cache
def _stand_ins() -> dict[str, str]:
    return {name: f"#00ff{i:02x}" for i, name in enumerate(palette())}


@cache
def _variables() -> dict[str, str]:
    return {colour: f"var(--{name})" for name, colour in _stand_ins().items()}


def mixed(a: str, b: str, share: float) -> str:
    """A colour between two.

    >>> mixed("#000000", "#ffffff", 0.5)
    '#808080'
    """
    parts = zip(_channels(a), _channels(b), strict=True)
    return "#" + "".join(f"{round(255 * (x + (y - x) * share)):02x}" for x, y in parts)


def readable_on(colour: str) -> str:
    """Black or white, whichever stands out more."""
    return max("#000000", "#ffffff", key=lambda text: contrast(text, colour))


def contrast(a: str, b: str) -> float:
    """How well one colour is read on the other, 1 to 21 (WCAG 2.2; 4.5 is level AA for text).

    >>> round(contrast("#000000", "#ffffff"), 1)
    21.0
    """
    low, high = sorted((_luminance(a), _luminance(b)))
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: str) -> float:
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in _channels(colour)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _channels(colour: str) -> tuple[float, ...]:
    return tuple(int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
