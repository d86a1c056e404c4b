"""Examples that are the same, byte for byte: inside a split, across splits, under two labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tunesmith.health.finding import Finding
from tunesmith.health.roll import Roll

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]

TEST = 2


def same_bytes(keys: Sequence[bytes]) -> Ints:
    """A number for each example, equal where the bytes are: [N].

    keys: content addresses, 16 bytes each.

    >>> same_bytes([b"a", b"b", b"a"]).tolist()
    [0, 1, 0]
    """
    number: dict[bytes, int] = {}
    return np.asarray([number.setdefault(key, len(number)) for key in keys], np.int64)


def repeats(roll: Roll, same: Ints) -> list[Finding]:
    """What byte-equal examples there are.

    same: [N], as `same_bytes` gives them.
    """
    groups = sets(same, roll.usable)
    inside = [part for group in groups for part in _by_split(roll, group) if len(part) > 1]
    across = [group for group in groups if len(set(roll.splits[group])) > 1]
    labels = [group for group in groups if len(set(roll.codes[group])) > 1]
    found = []
    if labels:
        found.append(roll.finding("byte_equal_two_labels", "warning", largest_first(labels)))
    if across:
        leaked = int(leaks(roll, across).sum())
        found.append(roll.finding("byte_equal_across", "warning", _test_first(roll, across), leaked=leaked))
    if inside:
        extra = sum(len(part) - 1 for part in inside)
        values = {"repeats": extra, "total": len(roll.usable)}
        found.append(roll.finding("byte_equal_inside", "note", largest_first(inside), **values))
    return found


def sets(numbers: Ints, places: Ints) -> list[Ints]:
    """The places that share a number, where two or more do; in the order of their first ones."""
    order = places[np.argsort(numbers[places], kind="stable")]
    if not len(order):
        return []
    cuts = np.flatnonzero(np.diff(numbers[order])) + 1
    return sorted((g for g in np.split(order, cuts) if len(g) > 1), key=lambda g: int(g[0]))


def leaks(roll: Roll, groups: Sequence[Ints]) -> NDArray[np.bool_]:
    """Which examples are of the test split and share a group with one of another split: [N]."""
    leaked = np.zeros(len(roll), bool)
    for group in groups:
        own = roll.splits[group] == TEST
        if not own.all():
            leaked[group[own]] = True
    return leaked


def largest_first(groups: Sequence[Ints]) -> list[Ints]:
    """Groups by size; of equal ones the first in the data's order first."""
    return sorted(groups, key=lambda group: -len(group))


def _test_first(roll: Roll, groups: Sequence[Ints]) -> list[Ints]:
    return sorted(groups, key=lambda group: not (roll.splits[group] == TEST).any())


def _by_split(roll: Roll, group: Ints) -> list[Ints]:
    return [group[roll.splits[group] == split] for split in np.unique(roll.splits[group])]
