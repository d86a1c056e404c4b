"""Which examples a page shows: the most confident mistakes, and a few of every class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from tunesmith.reports.predictions import Predictions

MISTAKES: Final = 12
EXAMPLES: Final = 24


def most_confident_mistakes(predictions: Predictions, count: int = MISTAKES) -> list[int]:
    """Rows of the wrong answers, the most confident first; of equally confident ones the first."""
    guess = predictions.guess
    sure = predictions.probabilities.max(1)
    wrong = np.flatnonzero(guess != predictions.truth)
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
        places = np.linspace(0, len(own) - 1, min(share, len(own))).round().astype(int)
        rows += [int(own[place]) for place in places]
    return rows
