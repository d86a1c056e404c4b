"""What a person brings, once it is understood: three splits of examples, on disk, memory-mapped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tunesmith import markup

if TYPE_CHECKING:
    import datasets

SPLITS: Final = ("train", "valid", "test")


@dataclass(frozen=True)
class Data:
    """Labelled examples in three splits.

    name: short, for folders and titles: "photos".
    takes: "image" or "text".
    splits: "train", "valid" and "test"; each a `datasets.Dataset` (Arrow, memory-mapped) with the
        columns `id` (where the example comes from: a path below the root, or "reviews.csv:37"),
        `item` (a text; or for images {"path": str | None, "bytes": bytes | None}), `label` (a
        string), and, when they were named, `group` (a string) and `weight` (a number).
    understood: what was found, in at most five short lines for the person who brought it.
    left_out: items that could not be had, where `read` was told to leave such out.
    answers: what the labels are: "classes"; or "numbers", which lie in `label` as JSON ("12.5", or
        "[12.5, 3.0]" of several columns); or "parts", JSON as the task reads it. targets: the columns of
        numbers, in that order. task: that learns from it; empty where item and answers say so.
    pairs: whether an item is two texts (`tunesmith.data.pairs`).
    fingerprint: SHA-256 over ids, labels, splits, groups, weights, texts, images in memory and
        the sizes of image files; where the data lie and file times do not enter it.
    """

    name: str
    takes: str
    splits: Mapping[str, datasets.Dataset]
    understood: tuple[str, ...]
    fingerprint: str
    left_out: tuple[Finding, ...] = ()
    answers: str = "classes"
    targets: tuple[str, ...] = ()
    task: str = ""
    pairs: bool = False

    @property
    def train(self) -> datasets.Dataset:
        """What is learned from."""
        return self.splits["train"]

    def _repr_html_(self) -> str:
        """What was understood, and how many examples each class has, in a notebook."""
        if self.answers != "classes":
            return markup.box(f"data {self.name}", markup.lines(*self.understood))
        counts = {split: Counter(own["label"][:]) for split, own in self.splits.items()}
        sums = sum(counts.values(), Counter())
        rows = [
            (str(label), *(f"{counts[split][label]:,}" for split in counts), f"{total:,}")
            for label, total in sums.most_common()
        ]
        heading = ("class", *counts, "all")
        numbers = range(1, len(heading))
        told = markup.table(heading, rows, numbers=numbers, most=20)
        return markup.box(f"data {self.name}", markup.lines(*self.understood), told)

    @property
    def valid(self) -> datasets.Dataset:
        """What decides which network is kept."""
        return self.splits["valid"]

    @property
    def test(self) -> datasets.Dataset:
        """What is scored once, at the end."""
        return self.splits["test"]


@dataclass(frozen=True)
class Finding:
    """One thing about the data that a person should know.

    kind: "unreadable", "absent", "empty", "single class", ...
    where: the id of the example, or the split or class that it concerns.
    message: what was found, in words.
    """

    kind: str
    where: str
    message: str
