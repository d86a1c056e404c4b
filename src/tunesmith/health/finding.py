"""What a check of the data says, as plain values: a table, JSON and a page are readings of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Level = Literal["note", "warning", "error"]


@dataclass(frozen=True)
class Item:
    """One example that a finding names.

    id: where it comes from, as in the data: "glass/7.jpg", "reviews.csv:37".
    split: "train", "valid" or "test"; empty for what never became an example.
    row: its place in the split, to fetch its picture or text by; None for what never became an example.
    note: what is to be seen in it: "image file is truncated", "looks like glass (0.93)".
    """

    id: str
    split: str = ""
    row: int | None = None
    label: str | None = None
    note: str = ""


@dataclass(frozen=True)
class Finding:
    """One thing about the data that a person should know.

    kind: a key of `health.words.WORDS`, where its sentences lie in every language: "byte_equal_two_labels".
    values: what the sentence is filled with: numbers, names.
    groups: items that belong together (the members of a group of duplicates); a lone item is a group of one.
        The first ones only, the most telling first; `count` says how many there are in all.
    count: groups there are.
    """

    kind: str
    level: Level
    values: Mapping[str, Any] = field(default_factory=dict)
    groups: tuple[tuple[Item, ...], ...] = ()
    count: int = 0


@dataclass(frozen=True)
class Health:
    """The health of some data.

    counts: examples that can be used by label and split: {"glass": {"train": 350, "valid": 75, "test": 76}}.
    facts: measured quantities beside the findings: image sizes and modes, text lengths, by name.
    skipped: kinds of finding that were not looked for, each with the reason as a key of `health.words.WORDS`.
    model: whose features were used; None without them. answers: "classes", "numbers" or "parts".
    """

    name: str
    takes: str
    understood: tuple[str, ...]
    counts: Mapping[str, Mapping[str, int]]
    findings: tuple[Finding, ...]
    facts: Mapping[str, Any] = field(default_factory=dict)
    skipped: Mapping[str, str] = field(default_factory=dict)
    model: str | None = None
    answers: str = "classes"
