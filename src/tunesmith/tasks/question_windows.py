"""Contexts that are too long for a network, in windows beside their question."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tunesmith.data.pairs import apart, together
from tunesmith.data.spilled import spilled
from tunesmith.networks.preprocess import TextPreprocess
from tunesmith.networks.windows import Windows


def question_windows(dataset: Any, preprocess: TextPreprocess, overlap: int) -> Any:
    """A row for every window of every question, in the data's order.

    overlap: tokens that two windows share, at most half of one.
    The columns are `item`, the question and the window; `of`, the row of the question; `start`, the character
    of the context at which the window begins; and the question's `id`, and `label` and `weight` if there are.
    A question that leaves its context less than a quarter of the network's window is cut when it is
    tokenized, and counted where cut texts are.
    """
    kept = [name for name in ("id", "label", "weight") if name in dataset.column_names]
    windows = Windows(preprocess.tokenizer, preprocess.max_length, overlap, pair=True)

    def rows() -> Iterator[dict[str, Any]]:
        of = 0
        for block in dataset.select_columns(["item", *kept]).iter(batch_size=1000):
            for place, item in enumerate(block["item"]):
                question, context = apart(item)
                also = {name: block[name][place] for name in kept}
                for start, end in windows.of(context, question):
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
