"""Which examples a page shows: the most confident mistakes, and a few of every class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

MISTAKES: Final = 12
EXAMPLES: Final = 24


def most_confident_mistakes(
    probabilities: NDArray[np.float64], truth: NDArray[np.int64], count: int = MISTAKES
) -> list[int]:
    """Rows of the wrong answers, the most confident first; of equally confident ones the first.

    probabilities: [N, K]. truth: the index of each example's class [N].

    >>> most_confident_mistakes(np.array([[.9, .1], [.6, .4], [.2, .8]]), np.array([1, 1, 1]))
    [0, 1]
    """
    sure = probabilities.max(1)
    wrong = np.flatnonzero(probabilities.argmax(1) != truth)
    return [int(row) for row in wrong[np.argsort(-sure[wrong], kind="stable")][:count]]


def some_of_each(labels: Sequence[str], names: Sequence[str], count: int = EXAMPLES) -> list[int]:
    """Rows of some examples of every class, as many of each, spread evenly over the split.

    labels: of every row. names: the classes in the order in which they are to be shown; of more classes
    than `count`, the first ones have one example each.

    >>> some_of_each(["a", "a", "b", "a", "b", "a"], ["a", "b"], 4)
    [0, 5, 2, 4]
    """
    share = max(1, count // max(len(names), 1))
    column = np.asarray(labels)
    rows: list[int] = []
    for name in names[: count // share]:
        own = np.flatnonzero(column == name)
        rows += [int(own[place]) for place in evenly(len(own), share)]
    return rows


def evenly(length: int, count: int) -> list[int]:
    """At most so many places of a list, spread evenly from its first to its last.

    >>> evenly(9, 3), evenly(2, 5)
    ([0, 4, 8], [0, 1])
    """
    return [int(place) for place in np.linspace(0, length - 1, min(count, length)).round()]
