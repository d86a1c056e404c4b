"""Reviews, tickets, messages: one label each."""

from __future__ import annotations

from functools import partial

from tunesmith.data.data import SPLITS, Data, Finding
from tunesmith.data.texts import empty_texts as empty
from tunesmith.tasks.classification import Classification


def empty_texts(data: Data) -> list[Finding]:
    """Every text of every split that holds nothing but white space."""
    return [finding for split in SPLITS for finding in empty(data.splits[split])]


TextClassification = partial(
    Classification,
    name="text-classification",
    takes="text",
    kind="text-classification",
    model="hf/sentence-transformers/all-MiniLM-L6-v2",
    inspect=empty_texts,
    unit="text",
)
