"""The two texts of pairs: which of them lack one, and whether they are two at all."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from tunesmith.data.data import Finding
from tunesmith.data.pairs import apart
from tunesmith.errors import BadData, shown

if TYPE_CHECKING:
    import datasets


def empty_sides(dataset: datasets.Dataset) -> list[Finding]:
    """A finding for every pair of which a text holds nothing but white space, in the dataset's order."""
    findings = []
    for batch in dataset.select_columns(["id", "item"]).iter(batch_size=1000):
        for name, item in zip(batch["id"], batch["item"], strict=True):
            first, second = (bool(text.strip()) for text in apart(item))
            if not (first and second):
                which = "second" if first else "first" if second else "first and an empty second"
                findings.append(Finding("empty", name, shown(f"{name} has an empty {which} text.")))
    return findings


def check_sides(items: Iterable[str], source: str) -> None:
    """Raises BadData where the texts of every pair are the same, or nothing: there is nothing to compare.

    Stops at the first pair of different ones. source: where the pairs are from, in words.
    """
    some = False
    for first, second in map(apart, items):
        if first.strip() != second.strip():
            return
        some = some or bool(first.strip())
    found = "both texts are the same in every pair" if some else "no text is in any pair"
    raise BadData(f"{found} of {source}; name two different columns with --item FIRST,SECOND.")
