"""Texts that are longer than a network's window, in windows of which each brings an answer of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tunesmith.data.pairs import apart, together
from tunesmith.data.spilled import spilled
from tunesmith.networks.preprocess import Preprocess, TextPreprocess
from tunesmith.networks.windows import Windows

SHARED: Final = 4  # windows share a part so large of their tokens with the one before
AT_A_TIME: Final = 1_000


def text_windows(dataset: Any, preprocess: Preprocess) -> Any | None:
    """A row for every window of every text, or pair, in the data's order; one where it fits.

    Of a pair the longer text is cut, and the other stands whole beside each window.
    None where texts are to be cut at the window instead, and where every text fits.
    The columns are `item`; `of`, the row of the example; and its `id`, and `label` and `weight` if there are.
    """
    if not isinstance(preprocess, TextPreprocess) or preprocess.long_texts != "windows":
        return None
    if not any(long.any() for _, long in _blocks(dataset, preprocess)):
        return None
    kept = [name for name in ("id", "label", "weight") if name in dataset.column_names]
    pairs, longest = preprocess.pairs, preprocess.max_length
    windows = Windows(preprocess.tokenizer, longest, longest // SHARED, pair=pairs)

    def parts(item: str) -> list[str]:
        if not pairs:
            return [item[start:end] for start, end in windows.of(item)]
        first, second = apart(item)
        if windows.length(first) > windows.length(second):
            return [together(first[start:end], second) for start, end in windows.of(first, second)]
        return [together(first, second[start:end]) for start, end in windows.of(second, first)]

    def rows() -> Iterator[dict[str, Any]]:
        of = 0
        for block, long in _blocks(dataset, preprocess):
            for place, item in enumerate(block["item"]):
                also = {name: block[name][place] for name in kept}
                for window in parts(item) if long[place] else (item,):
                    yield {"item": window, "of": of, **also}
                of += 1

    types = {"item": "string", "of": "int64", "id": "string", "label": "string", "weight": "double"}
    return spilled(rows(), {name: types[name] for name in ("item", "of", *kept)})


def mean_of(answers: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """One answer of those of an example's windows: the mean of each number.

    >>> mean_of([np.array([1.0, 4.0]), np.array([3.0, 4.0])]).tolist()
    [2.0, 4.0]
    """
    return answers[0] if len(answers) == 1 else np.mean(np.stack(list(answers)), axis=0)


def likely_of(answers: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """The same of probabilities: their geometric mean, made to sum to 1, which is the softmax of mean logits.

    So a linear head says of the mean of the windows' features what it is joined to say of the windows.

    >>> likely_of([np.array([0.5, 0.5]), np.array([0.9, 0.1])]).round(6).tolist()
    [0.75, 0.25]
    """
    if len(answers) == 1:
        return answers[0]
    logs = np.log(np.maximum(np.stack(list(answers)), np.finfo(np.float64).tiny)).mean(axis=0)
    shares = np.exp(logs - logs.max())
    found: NDArray[np.float64] = shares / shares.sum()
    return found


def _blocks(
    dataset: Any, preprocess: TextPreprocess
) -> Iterator[tuple[Mapping[str, Any], NDArray[np.bool_]]]:
    """The rows of a data set, a thousand at a time, and which of them are longer than the window."""
    for start in range(0, len(dataset), AT_A_TIME):
        block = dataset[start : start + AT_A_TIME]
        yield block, np.asarray(preprocess.lengths(block["item"])) > preprocess.max_length
