"""Which two columns of a table are the texts of a pair."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tunesmith.data.rows import Asked, counted
from tunesmith.data.tables import Table
from tunesmith.errors import BadData

PAIR_NAMES: Final = (
    ("premise", "hypothesis"), ("sentence1", "sentence2"), ("sentence_1", "sentence_2"),
    ("sentence_a", "sentence_b"), ("question1", "question2"), ("text1", "text2"), ("text_1", "text_2"),
    ("text_a", "text_b"), ("s1", "s2"), ("query", "passage"), ("query", "document"),
    ("question", "passage"), ("question", "paragraph"), ("question", "sentence"), ("question", "answer"),
    ("first", "second"),
)  # fmt: skip
PAIR_LABELS: Final = (  # what labels of pairs are called beside the usual names
    "gold_label", "is_duplicate", "duplicate", "score", "similarity", "similarity_score",
    "relatedness_score", "entailment", "relation", "judgment",
)  # fmt: skip


def items_in(table: Table, asked: Asked) -> tuple[str, ...]:
    """The columns that were named as items: none, one, or the two of a pair ("premise,hypothesis").

    Raises BadData for another number of columns than is asked for; whether they are there is not looked at.
    """
    if asked.item is None:
        return ()
    names: tuple[str, ...] = (asked.item,)
    if asked.item not in table.columns:
        names = tuple(name.strip() for name in asked.item.split(",") if name.strip()) or names
    found = f"--item {asked.item} names {counted(len(set(names)), 'column')}"
    if len(names) == 2 and asked.pairs is False:
        raise BadData(
            f"{found}, and this task reads one text a row; name one, or read pairs with --task "
            "text-pair-classification or text-pair-regression."
        )
    if (len(names) > 1 or asked.pairs) and (len(names) != 2 or names[0] == names[1]):
        raise BadData(f"{found}, and a pair is of two: --item FIRST,SECOND.")
    return names


def known_pair(free: Sequence[str], asked: Asked, *, alone: bool) -> tuple[str, ...]:
    """The two columns that are called as the texts of pairs are; () where there are none.

    free: columns that are nothing else. alone: whether they hold no label either, so that two of them are the
    pair, however they are called, where pairs are asked for.
    """
    if asked.pairs is False or asked.takes == "image":
        return ()
    lower = {name.lower(): name for name in reversed(free)}
    for first, second in PAIR_NAMES:
        if first in lower and second in lower:
            return lower[first], lower[second]
    return (free[0], free[1]) if asked.pairs and alone and len(free) == 2 else ()
