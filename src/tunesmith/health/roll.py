"""All examples of the data in one list: what every check looks at."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from tunesmith.data.data import SPLITS, Data
from tunesmith.health.finding import Finding, Item, Level

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHOWN: Final = 50  # groups that a finding names; `count` says how many there are


@dataclass(frozen=True)
class Roll:
    """The examples of all splits, one after the other, in the data's order.

    takes: "image", "text" or "pair". ids: [N]. names: the classes, sorted. codes: int64 [N], the class of
        each example, as a place in `names`.
    splits, rows: int64 [N], the split (0 train, 1 valid, 2 test) and the place in it.
    bad: why some of them cannot be used, by their place here; they take part in nothing else.
    told: whether names say something to a person: the labels of answers that have parts are JSON.
    """

    takes: str
    ids: Sequence[str]
    names: Sequence[str]
    codes: NDArray[np.int64]
    splits: NDArray[np.int64]
    rows: NDArray[np.int64]
    bad: Mapping[int, str] = field(default_factory=dict)
    told: bool = True

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def usable(self) -> NDArray[np.int64]:
        """The places of examples that can be used."""
        return np.setdiff1d(np.arange(len(self)), np.asarray(list(self.bad), np.int64))

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """Usable examples of each class in each split: [K, 3]."""
        counts = np.zeros((len(self.names), len(SPLITS)), np.int64)
        np.add.at(counts, (self.codes[self.usable], self.splits[self.usable]), 1)
        return counts

    def item(self, place: int, note: str = "") -> Item:
        """One example, as a finding names it."""
        split, row = SPLITS[int(self.splits[place])], int(self.rows[place])
        label = self.names[int(self.codes[place])] if self.told else ""
        return Item(self.ids[place], split, row, label, note)

    def finding(
        self,
        kind: str,
        level: Level,
        groups: Iterable[Iterable[int]] = (),
        notes: Mapping[int, str] | None = None,
        /,
        **values: Any,
    ) -> Finding:
        """A finding about groups of examples, the most telling first; 50 are named, all are counted."""
        every = list(groups)
        said = notes or {}
        named = tuple(tuple(self.item(p, said.get(int(p), "")) for p in group) for group in every[:SHOWN])
        return Finding(kind, level, {"takes": self.takes, "groups": len(every), **values}, named, len(every))


def rolled(data: Data, bad: Mapping[str, Mapping[int, str]] | None = None) -> Roll:
    """The examples of some data.

    bad: by split, why the examples in some rows cannot be used.
    """
    sizes = [len(data.splits[split]) for split in SPLITS]
    starts = np.cumsum([0, *sizes])
    names, codes = coded(label for split in SPLITS for label in data.splits[split]["label"][:])
    return Roll(
        "pair" if data.pairs else data.takes,
        [name for split in SPLITS for name in data.splits[split]["id"][:]],
        names,
        codes,
        np.repeat(np.arange(len(SPLITS)), sizes),
        np.concatenate([np.arange(size) for size in sizes]),
        {
            int(starts[SPLITS.index(split)]) + row: why
            for split, rows in (bad or {}).items()
            for row, why in rows.items()
        },
        data.answers != "parts",
    )


def coded(labels: Iterable[str]) -> tuple[list[str], NDArray[np.int64]]:
    """The different labels, sorted, and the place of each one among them: [N].

    They are kept once each: an array of strings would take four bytes times the longest label for every
    example, and lose the zeros that a label ends with.

    >>> names, codes = coded(["b", "a", "b"])
    >>> names, codes.tolist()
    (['a', 'b'], [1, 0, 1])
    """
    number: dict[str, int] = {}
    found = np.fromiter((number.setdefault(label, len(number)) for label in labels), np.int64)
    names = sorted(number)
    place = np.empty(len(names), np.int64)
    place[np.asarray([number[name] for name in names], np.int64)] = np.arange(len(names))
    return names, place[found]
