"""Sizes, modes and shapes of images, and lengths of texts: facts, and what is odd about them."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from tunesmith.health.finding import Finding
from tunesmith.health.looks import MODES
from tunesmith.health.roll import Roll
from tunesmith.health.seen import Looks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]

SMALL: Final = 32  # pixels: a side of which no usual network sees anything
SMALLER: Final = 4  # times smaller than usual, or an image is of its kind
LONG: Final = 3.0  # times as long as wide
SHORT: Final = 5  # characters
TELLING: Final = 0.5  # how much more often a mode occurs in a class than elsewhere
SEVERAL: Final = 10  # images of a class, of the others and of a mode, before any go together


def about_images(roll: Roll, looks: Looks) -> tuple[dict[str, Any], list[Finding]]:
    """Facts about sizes and modes, and findings about what is odd."""
    places = roll.usable.tolist()
    if not places:
        return {}, []
    sides = looks.sizes[roll.usable]
    modes = [MODES[mode] for mode in looks.modes[roll.usable]]
    short, long = sides.min(1), sides.max(1)
    facts = {
        "width": _spread(sides[:, 0]),
        "height": _spread(sides[:, 1]),
        "sizes": len(np.unique(sides, axis=0)),
        "modes": dict(Counter(modes).most_common()),
    }
    usual = int(np.median(short))
    found = []
    small = np.flatnonzero((short < SMALL) & (short * SMALLER <= usual))
    if len(small):
        small = small[np.argsort(short[small], kind="stable")]
        notes = {places[i]: f"{sides[i, 0]:,} × {sides[i, 1]:,} pixels" for i in small}
        found.append(
            roll.finding(
                "small_images", "warning", [[places[i]] for i in small], notes,
                count=len(small), total=len(places), least=SMALL, usual=usual,
            )
        )  # fmt: skip
    ratio = long / np.maximum(short, 1)
    odd = np.flatnonzero(ratio > LONG)
    if len(odd):
        odd = odd[np.argsort(-ratio[odd], kind="stable")]
        notes = {places[i]: f"{sides[i, 0]:,} × {sides[i, 1]:,} pixels" for i in odd}
        found.append(
            roll.finding(
                "odd_shapes", "note", [[places[i]] for i in odd], notes,
                count=len(odd), total=len(places), most=LONG,
            )
        )  # fmt: skip
    return facts, [*found, *_modes_tell(roll, places, modes)]


def about_texts(roll: Roll, lengths: Ints) -> tuple[dict[str, Any], list[Finding]]:
    """Facts about lengths, and a finding about texts that say next to nothing.

    lengths: characters of each usable text without white space at the ends, in the order of `roll.usable`.
    """
    characters, places = lengths, roll.usable
    if not len(places):
        return {}, []
    facts = {"characters": _spread(characters)}
    short = np.flatnonzero(characters < SHORT)
    if not len(short):
        return facts, []
    short = short[np.argsort(characters[short], kind="stable")]
    groups = [[places[i]] for i in short]
    values = {"count": len(short), "total": len(places), "least": SHORT}
    return facts, [roll.finding("short_texts", "note", groups, **values)]


def about_tokens(roll: Roll, whole: Ints, window: int, model: str) -> tuple[dict[str, Any], list[Finding]]:
    """Facts about lengths in tokens, and a finding about texts that are longer than a network reads.

    whole: tokens of each usable text before anything is cut, in the order of `roll.usable`.
    """
    facts = {"tokens": _spread(whole), "window": window}
    cut = np.flatnonzero(whole > window)
    if not len(cut):
        return facts, []
    cut = cut[np.argsort(-whole[cut], kind="stable")]
    places = roll.usable
    notes = {int(places[i]): f"{int(whole[i]):,} tokens" for i in cut}
    values = {"count": len(cut), "total": len(places), "window": window, "model": model}
    return facts, [roll.finding("truncated_texts", "warning", [[places[i]] for i in cut], notes, **values)]


def _modes_tell(roll: Roll, places: list[int], modes: list[str]) -> list[Finding]:
    """The mode and the class that go together most, if they nearly tell each other."""
    kinds = sorted(set(modes))
    if len(kinds) < 2 or len(roll.names) < 2:
        return []
    table = np.zeros((len(kinds), len(roll.names)))
    np.add.at(table, (np.asarray([kinds.index(mode) for mode in modes]), roll.codes[places]), 1)
    inside = table / np.maximum(table.sum(0), 1)
    outside = (table.sum(1, keepdims=True) - table) / np.maximum(table.sum() - table.sum(0), 1)
    of_mode, of_class = table.sum(1, keepdims=True), table.sum(0)
    several = np.minimum(of_mode, np.minimum(of_class, table.sum() - of_class)) >= SEVERAL
    more = np.where(several, inside - outside, 0.0)
    m, k = (int(place) for place in np.unravel_index(int(np.argmax(more)), table.shape))
    if more[m, k] < TELLING:
        return []
    values = {"mode": kinds[m], "label": roll.names[k]}
    shares = {"share": float(inside[m, k]), "others": float(outside[m, k])}
    return [roll.finding("modes_tell", "warning", **values, **shares)]


def _spread(numbers: NDArray[Any]) -> dict[str, int]:
    return {
        "least": int(numbers.min()),
        "middle": int(np.median(numbers)),
        "most": int(numbers.max()),
    }
