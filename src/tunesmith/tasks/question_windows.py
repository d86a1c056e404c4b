"""Contexts that are too long for a network, in windows beside their question."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final

from tunesmith.data.pairs import apart, together
from tunesmith.data.spilled import spilled
from tunesmith.networks.preprocess import TextPreprocess
from tunesmith.networks.windows import windows

LEAST: Final = 0.25  # of a network's window, that a context has beside even the longest question
HELD: Final = 64  # contexts of which the windows are remembered: questions on one stand together


def question_windows(dataset: Any, preprocess: TextPreprocess, overlap: int) -> Any:
    """A row for every window of every question, in the data's order.

    overlap: tokens that two windows share, at most half of one.
    The columns are `item`, the question and the window; `of`, the row of the question; `start`, the character
    of the context at which the window begins; and the question's `id`, and `label` and `weight` if there are.
    A question that leaves its context less than a quarter of the network's window is cut when it is
    tokenized, and counted where cut texts are.
    """
    kept = [name for name in ("id", "label", "weight") if name in dataset.column_names]
    tokenizer, longest = preprocess.tokenizer, preprocess.max_length
    special = tokenizer.num_special_tokens_to_add(pair=True)

    @lru_cache(HELD)
    def length(text: str) -> int:
        return len(tokenizer(text, add_special_tokens=False, truncation=False, verbose=False)["input_ids"])

    @lru_cache(HELD)
    def ranges(context: str, room: int) -> list[tuple[int, int]]:
        if length(context) <= room:
            return [(0, len(context))]
        return windows(context, tokenizer, room, min(overlap, room // 2))

    def rows() -> Iterator[dict[str, Any]]:
        of = 0
        for block in dataset.select_columns(["item", *kept]).iter(batch_size=1000):
            for place, item in enumerate(block["item"]):
                question, context = apart(item)
                room = max(longest - special - length(question), int(longest * LEAST), 1)
                also = {name: block[name][place] for name in kept}
                for start, end in ranges(context, room):
                    yield {"item": together(question, context[start:end]), "of": of, "start": start, **also}
                of += 1

    types = {
        "item": "string",
        "of": "int64",
        "start": "int64",
        "id": "string",
        "label": "string",
        "weight": "double",
    }
    return spilled(rows(), {name: types[name] for name in ("item", "of", "start", *kept)})
