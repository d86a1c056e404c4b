"""Texts: which of them hold no words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tunesmith.data.data import Finding
from tunesmith.errors import shown

if TYPE_CHECKING:
    import datasets


def empty_texts(dataset: datasets.Dataset) -> list[Finding]:
    """A finding for every text that holds nothing but white space, in the dataset's order."""
    findings = []
    for batch in dataset.select_columns(["id", "item"]).iter(batch_size=1000):
        for name, text in zip(batch["id"], batch["item"], strict=True):
            if not text.strip():
                findings.append(Finding("empty", name, shown(f"{name} is an empty text.")))
    return findings
