"""Two texts, one label: does one follow from the other, do they say the same, does one answer the other."""

from __future__ import annotations

from functools import partial

from tunesmith.data.data import SPLITS, Data, Finding
from tunesmith.data.sides import empty_sides
from tunesmith.tasks.classification import Classification


def half_empty(data: Data) -> list[Finding]:
    """Every pair of every split of which a text holds nothing but white space."""
    return [finding for split in SPLITS for finding in empty_sides(data.splits[split])]


TextPairClassification = partial(
    Classification,
    name="text-pair-classification",
    takes="text",
    kind="text-classification",
    model="hf/sentence-transformers/all-MiniLM-L6-v2",
    inspect=half_empty,
    unit="pair",
    pairs=True,
)
