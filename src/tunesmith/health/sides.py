"""Pairs of texts: both the same, the other way round in another split, one text shared across splits."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from tunesmith.data.pairs import apart
from tunesmith.health.finding import Finding
from tunesmith.health.repeats import TEST, leaks, sets
from tunesmith.health.roll import Roll
from tunesmith.health.shingles import ALIKE, jaccard, shingles

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]

NAMES: Final = ("first", "second")
TOLD: Final = 0.5  # of what can be told beyond the trivial answer; above it one text alone tells too much


@dataclass(frozen=True)
class Alone:
    """How far one text of each pair tells the answer, on the test split.

    metric: accuracy or r2. value: by its words alone. trivial: of the answer that needs no input.
    """

    side: str
    metric: str
    value: float
    trivial: float

    @property
    def share(self) -> float:
        """Of what the trivial answer leaves open, how much is told."""
        return (self.value - self.trivial) / max(1.0 - self.trivial, 1e-9)


def about_pairs(
    roll: Roll, items: Iterable[str], alone: Iterable[Alone] = ()
) -> tuple[list[Finding], NDArray[np.bool_]]:
    """What is odd about pairs, and which test pairs are the other way round in train or valid: [N].

    items: of `roll.usable`, in its order. alone: how far each text alone tells the answer, where that was
        tried.
    """
    sides = np.full((len(roll), 2), -1, np.int64)
    number: dict[str, int] = {}
    for place, item in zip(roll.usable, items, strict=True):
        sides[place] = [number.setdefault(text.strip(), len(number)) for text in apart(item)]
    turned, leaked = _turned(roll, sides, len(number))
    return [*_same(roll, sides), *turned, *_shared(roll, sides), *_told(roll, alone)], leaked


def both_alike(one: str, other: str) -> bool:
    """Whether two pairs are nearly the same text by text, in either order.

    Two pairs that share a long text are alike as a whole, and yet ask two things.
    """
    mine, theirs = ([shingles(text) for text in apart(item)] for item in (one, other))
    orders = (theirs, theirs[::-1])
    return any(all(jaccard(a, b) >= ALIKE for a, b in zip(mine, order, strict=True)) for order in orders)


def _same(roll: Roll, sides: Ints) -> list[Finding]:
    places = roll.usable[sides[roll.usable, 0] == sides[roll.usable, 1]]
    if not len(places):
        return []
    values = {"count": len(places), "total": len(roll.usable)}
    return [roll.finding("equal_sides", "note", [[place] for place in places.tolist()], **values)]


def _turned(roll: Roll, sides: Ints, texts: int) -> tuple[list[Finding], NDArray[np.bool_]]:
    """Pairs that are in one split one way round and in another the other."""
    numbers = sides.min(1) * max(texts, 1) + sides.max(1)
    groups = [
        group
        for group in sets(numbers, roll.usable)
        if len({*map(tuple, sides[group].tolist())}) > 1 and len(set(roll.splits[group])) > 1
    ]
    leaked = leaks(roll, groups)
    if not groups:
        return [], leaked
    return [roll.finding("turned_across", "warning", groups, leaked=int(leaked.sum()))], leaked


def _shared(roll: Roll, sides: Ints) -> list[Finding]:
    """Test pairs of which a text stands on the same side of a pair of train or valid."""
    usable = roll.usable
    test, known = usable[roll.splits[usable] == TEST], usable[roll.splits[usable] != TEST]
    if not len(test) or not len(known):
        return []
    found = {}
    for side, name in enumerate(NAMES):
        texts, first = np.unique(sides[known, side], return_index=True)
        at = np.minimum(np.searchsorted(texts, sides[test, side]), len(texts) - 1)
        hit = texts[at] == sides[test, side]
        found[name] = test[hit], known[first[at[hit]]]
    counts = {name: len(places) for name, (places, _) in found.items()}
    most = max(counts, key=lambda name: counts[name])
    if not counts[most]:
        return []
    groups = np.stack(found[most], 1).tolist()
    values = {"count": counts[most], "total": len(test), "share": counts[most] / len(test)}
    return [roll.finding("side_across", "warning", groups, side=NAMES.index(most) + 1, **values)]


def _told(roll: Roll, alone: Iterable[Alone]) -> list[Finding]:
    most = max(alone, key=lambda one: one.share, default=None)
    if most is None or most.share < TOLD:
        return []
    said = {"metric": most.metric, "value": most.value, "trivial": most.trivial}
    return [roll.finding("one_side_tells", "warning", side=NAMES.index(most.side) + 1, **said)]
